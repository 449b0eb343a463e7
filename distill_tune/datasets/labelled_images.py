"""Users' images for a trained model, in its input format and labelled with its classes.

They are decoded, scaled, cropped and converted to grey or RGB like the data sets.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill_tune.datasets.folder import permitted, read_classes
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.folder_tree.tree import read_tree
from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.images.arrays import with_channels
from distill_tune.datasets.images.file_values import completed
from distill_tune.datasets.images.image_files import decode_all, image_paths
from distill_tune.datasets.images.value_range import PER_FILE
from distill_tune.datasets.npz import Npz
from distill_tune.datasets.split_images import split_of
from distill_tune.errors import InputError, Message, Parameter, Text, abridged, closest
from distill_tune.interfaces import Split, ValueRanges

_SHOWN = 8
_ARRAYS = frozenset({".npy", ".npz"})
_OF_FIELDS = re.compile(r"[;,]? *\(?\bdata\.(train|val|test)\b.*$")


class Form(NamedTuple):
    """The input format of a model.

    Attributes:
        classes: Class names; their order gives the labels.
        channels: 1 for grey, 3 for colour.
        image_size: Height and width in pixels.
        ranges: Values that become 0 and 255.
    """

    classes: tuple[str, ...]
    channels: int
    image_size: int
    ranges: ValueRanges = PER_FILE


class Labelled(NamedTuple):
    """Labelled images, and the files that could not be read, each as ``path: reason``."""

    split: Split
    skipped: tuple[str, ...]


def labelled_images(path: Path, form: Form, *, part: Part | None, where: str) -> Labelled:
    """Return the images of a folder of class folders, or of an ``.npz`` file.

    Args:
        path: The folder or file.
        form: Input format of the model; classes are matched by name.
        part: Part to read; None if the data has no parts.
        where: The option that gave the path, for messages.

    Raises:
        InputError: The path does not exist or holds no readable image, ``part`` does not fit its
            parts, or it has images of classes that are not in ``form``.
    """
    _refuse_missing(path, where)
    with _named(where):
        pool = _folder(path, form, part, where) if path.is_dir() else _npz(path, form, part, where)
    if len(pool.labels) == 0:
        met = f"no image in {path}"
        if pool.skipped:
            met += f" that can be read ({len(pool.skipped)} files cannot: {pool.skipped[0]})"
        raise InputError(where, got=Text(met), expected="images")
    return Labelled(split_of(_by_name(pool, form.classes, where), form.channels), pool.skipped)


def relabelled(split: Split, names: Sequence[str], classes: Sequence[str], where: str) -> Split:
    """Return a split with its labels mapped from positions in ``names`` to ones in ``classes``.

    Raises:
        InputError: The split has images of a class that is not in ``classes``.
    """
    _refuse_unknown({names[label] for label in split.labels.unique().tolist()}, classes, where)
    positions = torch.tensor([_position(classes, name) for name in names], dtype=torch.int64)
    return Split(split.images, positions[split.labels])


def image_files(paths: Sequence[Path], where: str) -> list[Path]:
    """Return the files among ``paths``, and the image files below the folders among them.

    Raises:
        InputError: A path does not exist, is a file of arrays, or is a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        _refuse_missing(path, where)
        if path.suffix.lower() in _ARRAYS and path.is_file():
            takes = Message("`evaluate` with ", Parameter("data"), " takes an .npz with labels")
            expected = Message("image files, or folders of them; ", takes)
            raise InputError(where, got=str(path), expected=expected)
        with _named(where), permitted():
            below = image_paths(path) if path.is_dir() else [path]
        if not below:
            raise InputError(where, got=Text(f"{path} without image files"), expected="images")
        found += below
    return found


def fitted(form: Form, files: Sequence[Path], where: str) -> Form:
    """Return a format with the range of deep files, if the model has seen none, as a data set has.

    Args:
        form: Input format of the model.
        files: All files that are to be read.
        where: The option that gave them, for messages.

    Raises:
        InputError: Their range is ambiguous.
    """
    with _named(where):
        return form._replace(ranges=completed(form.ranges, "the images", list(files)))


def read_files(files: Sequence[Path], form: Form) -> tuple[Tensor, dict[int, str]]:
    """Return image files as ``[n, channels, size, size]`` uint8.

    Returns:
        The images, and the reason for each position that could not be read; the pixels there are
        undefined.
    """
    images, reasons = decode_all(list(files), form.image_size, ranges=form.ranges)
    return torch.from_numpy(np.ascontiguousarray(with_channels(images, form.channels))), reasons


def _refuse_missing(path: Path, where: str) -> None:
    try:
        if path.exists():
            return
        near = closest(path.name, [other.name for other in path.parent.glob("*")])
    except OSError as error:
        met = Text(f"{path} ({error.strerror})")
        raise InputError(where, got=met, expected="a path that can be read") from None
    choices = [str(path.with_name(near))] if near else []
    expected = "a file or a folder that exists"
    raise InputError(where, got=str(path), expected=expected, choices=choices)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Report errors against the option, because no configuration is involved."""
    try:
        yield
    except InputError as error:
        # Images given by an option have no fields that name their parts.
        match = _OF_FIELDS.search(error.expected)
        expected = error.expected[: match.start()] if match else error.expected
        raise InputError(where, got=error.got, expected=expected, choices=error.choices) from None


def _folder(path: Path, form: Form, part: Part | None, where: str) -> Pool:
    with permitted():
        found = read_tree(path, known=form.classes, needs_train=False).parts
        has_parts = "train" not in found or found["train"].named != path
        _refuse_vague(path, sorted(found) if has_parts else [], part, where)
        chosen = found[part or "train"]
        form = fitted(form, image_paths(chosen.classes), where)
        return read_classes(
            chosen.classes, path, form.image_size, ranges=form.ranges, without=chosen.left_out
        )


def _npz(path: Path, form: Form, part: Part | None, where: str) -> Pool:
    if path.suffix.lower() != ".npz":
        expected = "a folder of class folders, or an .npz file"
        raise InputError(where, got=str(path), expected=expected)
    source = Npz(kind="npz", root=str(path)).model_copy(update={"image_size": form.image_size})
    parts = sorted(source.parts())
    _refuse_vague(path, parts if len(parts) > 1 else [], part, where)
    return source.read(part or "train", form.ranges)


def _refuse_vague(path: Path, parts: Sequence[Part], part: Part | None, where: str) -> None:
    if parts and part not in parts:
        listed = ", ".join(parts)
        met = Text(f"{path}, which has the parts {listed}" + (f", not {part}" if part else ""))
        expected = Message(Parameter("split"), f" with one of {listed}")
        raise InputError(where, got=met, expected=expected)
    if part and not parts:
        met = Text(f"{path}, which has no parts")
        expected = Message("no ", Parameter("split"), ": all of its images are taken")
        raise InputError(where, got=met, expected=expected)


def _by_name(pool: Pool, classes: tuple[str, ...], where: str) -> Pool:
    present = [pool.classes[label] for label in np.unique(pool.labels)]
    _refuse_unknown(present, classes, where)
    # A folder without images may have any name.
    positions = np.array([_position(classes, name) for name in pool.classes], dtype=np.int64)
    return Pool(pool.images, positions[pool.labels], classes)


def _position(classes: Sequence[str], name: str) -> int:
    return classes.index(name) if name in classes else -1


def _refuse_unknown(names: Sequence[str] | set[str], classes: Sequence[str], where: str) -> None:
    unknown = sorted(set(names) - set(classes))
    if unknown:
        met = Text(f"images of classes that the model does not know: {_listed(unknown)}")
        raise InputError(where, got=met, expected=f"only those that it knows: {_listed(classes)}")


def _listed(names: Sequence[str]) -> str:
    return abridged([repr(name) for name in names], _SHOWN)
