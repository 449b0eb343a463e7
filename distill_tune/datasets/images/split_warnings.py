"""Warnings about the images of a draw: classes without any, weak ones, those in two splits."""

from collections.abc import Sequence

from distill_tune.datasets.image_pool import Indices, Pool, absent_classes
from distill_tune.datasets.images.duplicates import digests, shared_images
from distill_tune.datasets.images.near_duplicates import near_copies
from distill_tune.datasets.images.weak_images import weaknesses
from distill_tune.errors import abridged

_SHOWN = 5


def split_warnings(
    train: Pool, val: Pool, test: tuple[Pool, Indices], *, is_redrawn: bool
) -> tuple[str, ...]:
    """Return warnings for the user.

    Args:
        train: The training images.
        val: The validation images.
        test: A pool, and the positions of the drawn test images in it; no split is built from them.
        is_redrawn: Whether the first draw from these images has been searched for near copies.
    """
    shared = {"train": digests(train), "val": digests(val), "test": digests(*test)}
    near = () if is_redrawn else near_copies(train, val, test)
    of_classes = _alike(train.classes) + _unmeasured_classes(val) + _single_images(train)
    return of_classes + weaknesses(train) + shared_images(shared) + near


def _alike(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a warning that lists the classes whose names hardly differ, if any."""
    names: dict[str, list[str]] = {}
    for name in classes:
        names.setdefault(name.strip().casefold(), []).append(repr(name))
    alike = [" and ".join(some) for some in names.values() if len(some) > 1]
    if not alike:
        return ()
    listed = abridged(alike, _SHOWN)
    return (f"classes whose names differ only in case or in spaces around them: {listed}",)


def _single_images(train: Pool) -> tuple[str, ...]:
    pairs = zip(train.classes, train.counts(), strict=True)
    single = [repr(name) for name, count in pairs if count == 1]
    if not single:
        return ()
    return (f"train has one image only of class {abridged(single, _SHOWN)}",)


def _unmeasured_classes(val: Pool) -> tuple[str, ...]:
    present = [name for name, count in zip(val.classes, val.counts(), strict=True) if count]
    absent = absent_classes(val.classes, present, "val")
    return tuple(f"{text}: metrics are over the other classes" for text in absent)
