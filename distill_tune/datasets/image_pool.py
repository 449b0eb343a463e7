"""Pools: the labelled images of one part of a source, before any split is drawn."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.images.pixels import taken
from distill_tune.errors import InputError, Text, abridged
from distill_tune.interfaces import ValueRanges

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]

_SHOWN = 5
MAX_SIZE = 1024
"""Largest height and width, in pixels, that the networks accept."""


@dataclass(frozen=True)
class Pool:
    """Images that can be drawn from.

    Attributes:
        images: ``[n, 1 or 3, size, size]``, in the source's own (sorted) order.
        labels: ``[n]``, positions in ``classes``.
        classes: Names of the classes.
        skipped: Files left out because they could not be read, each ``path: reason``.
        names: ``[n]``, the file of each image; empty if images have no files of their own.
        warnings: Warnings about this part for the user.
        passed: Names of the files and folders of systems and tools that were passed over.
        value_ranges: Values that became 0 and 255.
    """

    images: Bytes
    labels: Labels
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    value_ranges: ValueRanges = ValueRanges(eight_bit=(0.0, 255.0))

    def counts(self) -> list[int]:
        """Return the number of images of each class."""
        return [int(n) for n in np.bincount(self.labels, minlength=len(self.classes))]

    def take(self, indices: Indices) -> "Pool":
        """Return the pool of the images at ``indices``."""
        return replace(
            self,
            images=taken(self.images, indices),
            labels=self.labels[indices],
            names=tuple(self.names[index] for index in indices) if self.names else (),
        )

    def require_images(self, part: str, where: str) -> None:
        """Raise InputError if the pool is empty; ``part`` and ``where`` are for the message."""
        if len(self.labels):
            return
        got = f"no image in {part}"
        if self.skipped:
            first = self.skipped[0]
            got = f"{len(self.skipped)} files in {part}, none readable; the first: {first}"
        raise InputError(where, got=Text(got), expected="images")

    def require_trainable(self, where: str) -> None:
        """Raise InputError, naming ``where``, unless training images can be drawn from the pool."""
        self.require_images("train", where)
        if len(self.classes) < 2:
            got = Text(f"one class only: {self.classes[0]!r}")
            raise InputError(where, got=got, expected="two classes or more")
        size = self.images.shape[-1]
        if size > MAX_SIZE:
            expected = f"a size of at most {MAX_SIZE} to scale them to"
            got = Text(f"images of {size} pixels")
            raise InputError("data.image_size", got=got, expected=expected)

    def labelled_as(self, classes: tuple[str, ...], *, part: str, where: str) -> "Pool":
        """Return the pool with its labels as positions in ``classes``.

        Raises:
            InputError: The pool has a class that is not in ``classes``.
        """
        unknown_names(self.classes, known=classes, part=part, where=where)
        position = {name: number for number, name in enumerate(classes)}
        numbers = np.array([position[name] for name in self.classes], dtype=np.int64)
        return replace(self, labels=numbers[self.labels], classes=classes)


class Pools(NamedTuple):
    """The pools to draw splits from.

    Attributes:
        train: The train part.
        val: The validation part; None if there is none.
        unlabelled: Images without labels from elsewhere; None if there are none.
        sealed: Digests of the test part, if there are images without labels to compare with it.
    """

    train: Pool
    val: Pool | None
    unlabelled: Pool | None = None
    sealed: frozenset[bytes] = frozenset()


def unknown_names(names: tuple[str, ...], *, known: tuple[str, ...], part: str, where: str) -> None:
    """Raise InputError if ``part`` has classes that the training images do not have.

    Raises:
        InputError: The message names all such classes.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        raise InputError(
            where,
            got=Text(f"classes in {part} that train does not have: {listed}"),
            expected="the classes of train: " + ", ".join(repr(name) for name in known),
        )


def absent_classes(
    of_train: Collection[str], of_part: Collection[str], part: str = "test"
) -> tuple[str, ...]:
    """Return a warning that lists the training classes without images in ``part``, if any."""
    absent = sorted(set(of_train) - set(of_part))
    if not absent:
        return ()
    listed = abridged([repr(name) for name in absent], _SHOWN)
    return (f"{part} has no image of class {listed}",)
