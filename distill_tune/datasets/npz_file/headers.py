"""Types, shapes and extremes of the arrays in an ``.npz`` file, without loading them whole."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from distill_tune.datasets.images.arrays import channels_first
from distill_tune.datasets.images.value_range import Extremes, extremes_of, kind_of
from distill_tune.datasets.npz_file.keys import is_named_for_labels
from distill_tune.errors import InputError, Text

MIN_SIDE = 4
"""Least height and width of images, in pixels."""

READ_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,  # A small file may claim any number of images.
    RuntimeError,  # From zipfile, for a password or an unknown compression method.
    SyntaxError,  # NumPy parses headers as Python literals.
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_READ_BYTES = 1 << 22
"""Bytes read at a time; a multiple of the size of every numeric type."""


class Header(NamedTuple):
    """The shape and type of an array, read from its first bytes."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"


def unreadable(got: str) -> InputError:
    """Return the error for a file, or an array in it, that cannot be read."""
    return InputError("data.root", got=Text(got), expected="an .npz file as numpy.savez writes it")


def reason(path: Path, error: Exception) -> str:
    """Return why a file cannot be read, in words without NumPy's advice to allow pickle."""
    with suppress(OSError):
        if path.is_file() and not zipfile.is_zipfile(path):
            return "not a zip archive, which every .npz is"
    return str(error)


def header(path: Path, key: str) -> Header:
    """Return the header of an array.

    Raises:
        InputError: The header is damaged, or loading the array could run untrusted code.
    """
    with _member(path, key, is_whole=False) as file:
        found = _header(file)
    if found.dtype.hasobject:
        raise InputError(
            "data.root", got=Text(f"{key} of type {found.dtype}"), expected=_instead_of_objects(key)
        )
    return found


def num_dimensions(path: Path, key: str) -> int:
    """Return how many dimensions an array has; 0 if :func:`header` refuses it."""
    try:
        return len(header(path, key).shape)
    except InputError:
        return 0


def _instead_of_objects(key: str) -> str:
    if not is_named_for_labels(key):
        return "one array of numbers, as numpy.stack makes from images of one size"
    return (
        "text or integers, which need no pickle: save it again as "
        f"{key}=numpy.asarray({key}).astype(str), or .astype(int)"
    )


def images_shape(path: Path, key: str) -> tuple[int, ...]:
    """Return the shape of images as ``[n, c, h, w]``, from their header.

    Raises:
        InputError: The array does not hold images, or its values are not numbers.
    """
    found = header(path, key)
    if found.dtype.kind not in "buif":
        raise InputError("data.root", got=Text(f"{key} of type {found.dtype}"), expected="numbers")
    try:
        # Takes no memory: only the shape is checked.
        outline = np.broadcast_to(np.zeros((), dtype=np.uint8), found.shape)
    except READ_ERRORS as error:
        raise unreadable(f"{key}, which cannot be read ({error})") from None
    shape = channels_first(outline, key).shape
    if min(shape[2:]) < MIN_SIDE:
        got = Text(
            f"{key} of shape {found.shape}, which are images of {shape[2]}x{shape[3]} pixels"
        )
        expected = f"[n, h, w], [n, h, w, c] or [n, c, h, w] with h and w of at least {MIN_SIDE}"
        raise InputError("data.root", got=got, expected=expected)
    return shape


def array_extremes(path: Path, key: str) -> Extremes | None:
    """Return the extremes of an array, read piece by piece; None if it is empty.

    An 8-bit array is read only until 0..1 can be told from 0..255.
    """
    found: Extremes | None = None
    with _member(path, key, is_whole=True) as file:
        dtype = _header(file).dtype
        while data := file.read(_READ_BYTES):
            whole = len(data) // dtype.itemsize
            if not whole:
                break
            one = extremes_of(np.frombuffer(data, dtype, count=whole))
            found = found.merged(one) if found else one
            if kind_of(dtype) == "eight_bit" and found.high > 1:
                break
    return found


@contextmanager
def _member(path: Path, key: str, *, is_whole: bool) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            name = f"{key}.npy"
            member = archive.getinfo(name if name in archive.namelist() else key)
            if not is_whole:
                # Reading the header of a small array reads it whole, which must not verify its
                # data.
                del member.CRC
            with archive.open(member) as file:
                yield file
    except (*READ_ERRORS, KeyError) as error:
        raise unreadable(f"{key}, which cannot be read ({error})") from None


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        # 3.0 differs from 2.0 in the encoding of field names, which plain arrays do not have.
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return Header(tuple(shape), dtype)
