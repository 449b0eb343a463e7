"""Images without labels (``data.unlabelled``): where they come from, and which are left out."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator
from torch import Tensor

from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.paths import Root, absolute
from distill_tune.datasets.image_pool import Bytes, Pool, Pools
from distill_tune.datasets.images.arrays import channels_first, fit, to_bytes, with_channels
from distill_tune.datasets.images.file_values import completed
from distill_tune.datasets.images.image_files import decode_all, image_paths
from distill_tune.datasets.images.value_range import array_levels, kind_of
from distill_tune.datasets.npz_file.headers import READ_ERRORS, header, images_shape, reason
from distill_tune.datasets.splits import Draw
from distill_tune.errors import InputError, Text, closest
from distill_tune.interfaces import Split, ValueRanges

REST = "rest"
"""The value that takes what is left of the training part."""
WHERE = "data.unlabelled"
_NPZ = ".npz"
_EXPECTED = "rest, a folder of images, or an array of a file such as images.npz:x"


def _check(text: str) -> str:
    if text.endswith(_NPZ):
        raise ValueError(f"expected the name of an array too, such as {text}:x")
    return text


Unlabelled = Annotated[Root, AfterValidator(_check)]
"""The type of ``data.unlabelled``."""


class Others(NamedTuple):
    """Images without labels.

    Attributes:
        images: ``[n, channels, size, size]``; None if none are asked for.
        warnings: What was left out, for the user.
    """

    images: Tensor | None = None
    warnings: tuple[str, ...] = ()


def moved_along(text: str | None) -> str | None:
    """Return the value with an absolute path, which is valid in every folder."""
    if text is None or text == REST:
        return text
    path, mark, name = _parts(text)
    return f"{absolute(path)}{mark}{name}"


def read_unlabelled(text: str, size: int, ranges: ValueRanges) -> Pool:
    """Return the images of a folder, at any depth, or of an array; their labels mean nothing.

    Args:
        text: Path of the folder, or ``file.npz:name``.
        size: Height and width to scale the images to.
        ranges: Values that become 0 and 255 in the labelled images.

    Raises:
        InputError: There is no image, or it cannot be read.
    """
    path, _, name = _parts(text)
    skipped: tuple[str, ...] = ()
    with _blamed():
        if name:
            images = _of_array(absolute(path), name, size, ranges)
        else:
            images, skipped = _of_folder(absolute(path), text, size, ranges)
    if len(images) == 0:
        raise InputError(WHERE, got=Text(f"no image in {text}"), expected=_EXPECTED)
    return Pool(images, np.zeros(len(images), dtype=np.int64), ("",), skipped)


def with_unlabelled(
    pools: Pools, wanted: str | None, read_test: Callable[[], Pool] | None
) -> Pools:
    """Return the pools with the images without labels, and what must not be among them.

    Args:
        pools: The labelled images.
        wanted: Value of ``data.unlabelled``; nothing is added for None.
        read_test: Reads the test part; None if the source has none of its own.

    Raises:
        InputError: There is no image, or it cannot be read.
    """
    if wanted is None:
        return pools
    train = pools.train
    if wanted != REST:
        found = read_unlabelled(wanted, train.images.shape[-1], train.value_ranges)
        pools = pools._replace(unlabelled=found)
    sealed = frozenset[bytes]() if read_test is None else _sealed(read_test)
    return pools._replace(sealed=sealed)


def _sealed(read_test: Callable[[], Pool]) -> frozenset[bytes]:
    """Return the digests of the test images, in grey and in colour; the images are not kept.

    Both are needed whatever the test images are: the data may be read in the other form.

    A part that cannot be read is reported when it is used.
    """
    try:
        images = read_test().images
    except InputError:
        return frozenset()
    return frozenset(
        digest for channels in (1, 3) for digest in _digests(with_channels(images, channels))
    )


def _digests(images: Bytes) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def others_of(wanted: str | None, pools: Pools, draw: Draw, val: Split, channels: int) -> Others:
    """Return the images without labels that belong to a draw.

    Images equal to a validation or a test image, pixel for pixel, are left out.

    Args:
        wanted: Value of ``data.unlabelled``.
        pools: Result of :func:`with_unlabelled`.
        draw: What is drawn from the train part.
        val: The validation images.
        channels: 1 or 3, as for the labelled images.

    Raises:
        InputError: No image is left.
    """
    if wanted is None:
        return Others()
    found = pools.unlabelled
    if found is None:
        rest = np.setdiff1d(np.arange(len(pools.train.labels)), np.concatenate(draw))
        found = pools.train.take(rest)
    images = with_channels(found.images, channels)
    test = with_channels(pools.train.images[draw.test], channels)
    known = {*pools.sealed, *_digests(val.images.numpy()), *_digests(test)}
    is_new = np.array([digest not in known for digest in _digests(images)], dtype=bool)
    if not is_new.any():
        raise _nothing_left(len(is_new))
    kept = np.ascontiguousarray(images[is_new])
    skipped = found.skipped if pools.unlabelled is not None else ()
    return Others(torch.from_numpy(kept), tuple(_warnings(len(is_new) - len(kept), skipped)))


def _warnings(num_left_out: int, skipped: Sequence[str]) -> Iterator[str]:
    if num_left_out:
        count = f"{num_left_out} image{'s' * (num_left_out > 1)}"
        yield f"{count} of {WHERE} left out: the same as a validation or a test image"
    if skipped:
        count = f"{len(skipped)} file{'s' * (len(skipped) > 1)}"
        yield f"{count} of {WHERE} left out, such as {skipped[0]}"


def _nothing_left(num_left_out: int) -> InputError:
    if num_left_out:
        met = Text(f"{num_left_out} images, all of them validation or test images")
        return InputError(WHERE, got=met, expected="other images")
    met = Text("rest, but no image is left")
    return InputError(WHERE, got=met, expected="fewer labelled images, or a folder")


def _parts(text: str) -> tuple[str, str, str]:
    """Return a path, a colon if an array is named, and the name of the array."""
    path, mark, name = text.rpartition(f"{_NPZ}:")
    return (f"{path}{_NPZ}", ":", name) if mark else (text, "", "")


@contextmanager
def _blamed() -> Iterator[None]:
    """Report errors about files and arrays against the field that names them."""
    try:
        yield
    except OSError as error:
        met = Text(f"{error.filename} ({error.strerror})")
        raise InputError(WHERE, got=met, expected="a path that can be read") from None
    except InputError as error:
        if error.where != "data.root":
            raise
        raise InputError(
            WHERE, got=error.got, expected=error.expected, choices=error.choices
        ) from None


def _of_folder(
    folder: Path, text: str, size: int, ranges: ValueRanges
) -> tuple[Bytes, tuple[str, ...]]:
    if not folder.is_dir():
        beside = sub_folders(folder.parent) if folder.parent.is_dir() else []
        near = closest(folder.name, [path.name for path in beside])
        choices = [str(Path(text).with_name(near))] if near else []
        expected = f"{_EXPECTED} (looked for {folder})"
        raise InputError(WHERE, got=text, expected=expected, choices=choices)
    paths = image_paths(folder)
    images, reasons = decode_all(paths, size, completed(ranges, WHERE, paths))
    readable = [number for number in range(len(paths)) if number not in reasons]
    skipped = (f"{paths[number].name}: {reason}" for number, reason in sorted(reasons.items()))
    return images[readable], tuple(skipped)


def _of_array(path: Path, name: str, size: int, ranges: ValueRanges) -> Bytes:
    if not path.is_file():
        raise InputError(WHERE, got=Text(f"{path}:{name}"), expected="an .npz file that exists")
    names = _names(path)
    if name not in names:
        listed = ", ".join(names) or "none"
        expected = f"one of the arrays in {path.name}: {listed}"
        raise InputError(WHERE, got=name, expected=expected, choices=names)
    header(path, name)
    images_shape(path, name)
    with np.load(path, allow_pickle=False) as arrays:
        images = channels_first(arrays[name], name)
    return fit(_levels(images, name, ranges), size)


def _names(path: Path) -> list[str]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return sorted(arrays.files)
    except READ_ERRORS as error:
        met = Text(f"{path} ({reason(path, error)})")
        expected = "an .npz file as numpy.savez writes it"
        raise InputError(WHERE, got=met, expected=expected) from None


def _levels(images: NDArray[Any], name: str, ranges: ValueRanges) -> Bytes:
    """Return an array as uint8, with the range of the labelled images of its type."""
    pair = getattr(ranges, kind_of(images.dtype))
    if len(images) == 0 or pair is None:
        return to_bytes(images, name)
    return array_levels(images, pair, name, is_given=ranges.is_given)
