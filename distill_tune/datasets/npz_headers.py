"""Types, shapes and extremes of the arrays in an ``.npz`` file, before they are read."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from distill_tune.datasets.images.arrays import channels_first
from distill_tune.datasets.images.value_range import Extremes, extremes_of, kind_of
from distill_tune.errors import InputError, Text

READ_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,  # A few bytes may claim any number of images.
    RuntimeError,  # zipfile's, for one with a password or packed in an unknown way.
    SyntaxError,  # NumPy's headers are Python's literals.
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_READ_BYTES = 1 << 22
"""Read at a time; any type of numbers divides it."""


class Header(NamedTuple):
    """What an array is, by its first bytes."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"


def unreadable(got: str) -> InputError:
    """Return the error for a file, or an array in it, that cannot be read."""
    return InputError("data.root", got=Text(got), expected="an .npz file as numpy.savez writes it")


def header(path: Path, key: str) -> Header:
    """Return the header of an array.

    Raises:
        InputError: It is damaged, or its array cannot be used without running a stranger's code.
    """
    with _member(path, key, is_whole=False) as file:
        found = _header(file)
    if found.dtype.hasobject:
        raise InputError(
            "data.root", got=Text(f"{key} of type {found.dtype}"), expected=_instead_of_objects(key)
        )
    return found


def _instead_of_objects(key: str) -> str:
    if key.startswith(("x", "images")):
        return "one array of numbers, which numpy.stack makes of images of one size"
    return (
        "text or integers, which need no pickle: save it again as "
        f"{key}=numpy.asarray({key}).astype(str), or .astype(int)"
    )


def images_shape(path: Path, key: str) -> tuple[int, ...]:
    """Return the shape of images as ``[n, c, h, w]``, from their header.

    Raises:
        InputError: They are not images, or no numbers.
    """
    found = header(path, key)
    if found.dtype.kind not in "buif":
        raise InputError("data.root", got=Text(f"{key} of type {found.dtype}"), expected="numbers")
    try:
        # Of no size: nothing but its shape is looked at.
        outline = np.broadcast_to(np.zeros((), dtype=np.uint8), found.shape)
    except READ_ERRORS as error:
        raise unreadable(f"{key}, which cannot be read ({error})") from None
    return channels_first(outline, key).shape


def array_extremes(path: Path, key: str) -> Extremes | None:
    """Return the extremes of an array, reading it piece by piece; None where it is empty.

    Of 8 bits no more is read than tells 0..1 from 0..255.
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
                # Of a small array its first bytes are all: a damaged image is not the header's.
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
        # 3.0 differs from 2.0 by the encoding of names, which numbers and text have not.
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return Header(tuple(shape), dtype)
