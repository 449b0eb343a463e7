"""Arrays of pixels: in memory, or above a size in a temporary file that is mapped into memory.

The pages of a mapped file are read as they are needed and dropped when memory is short, and the
processes of a machine share them. The numbers are the same.
"""

import atexit
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]

_PREFIX = "distill-tune-pixels-"
_COPIED = 1 << 24
"""Bytes copied at a time."""


def empty(shape: Sequence[int], most_bytes: int) -> Pixels:
    """Return an array of undefined pixels, in a file if it takes more than ``most_bytes``."""
    is_large = np.prod(shape, dtype=np.int64) > most_bytes
    return _mapped(shape) if is_large else np.empty(shape, np.uint8)


def like(images: Pixels, shape: Sequence[int]) -> Pixels:
    """Return an array of undefined pixels, in a file if ``images`` are in one."""
    return _mapped(shape) if is_mapped(images) else np.empty(shape, np.uint8)


def is_mapped(images: Pixels) -> bool:
    """Return whether images are in a file, all of it."""
    # A part of one is a memmap too; its base is an array, not the map.
    return isinstance(images, np.memmap) and not isinstance(images.base, np.ndarray)


def rows(images: Pixels, most: int) -> int:
    """Return how many images to process at a time: at most ``most``, and 16 MB of them."""
    return max(1, min(most, _COPIED // max(1, images[:1].nbytes)))


def taken(images: Pixels, indices: NDArray[np.int64]) -> Pixels:
    """Return a copy of the images at ``indices``, in a file if ``images`` are in one."""
    if not is_mapped(images):
        return images[indices]
    found, step = like(images, (len(indices), *images.shape[1:])), rows(images, len(indices))
    for start in range(0, len(indices), step):
        found[start : start + step] = images[indices[start : start + step]]
    return found


def to_tensor(images: Pixels) -> Tensor:
    """Return images as a tensor without copying them; one in a file knows the file's name."""
    if not is_mapped(images):
        return torch.from_numpy(np.ascontiguousarray(images))
    return tensor_in(str(images.filename), images.shape)  # type: ignore[attr-defined]


def tensor_in(file: str, shape: Sequence[int]) -> Tensor:
    """Return the images in a file as a tensor, which must not be written to."""
    size = int(np.prod(shape, dtype=np.int64))
    return torch.from_file(file, shared=True, size=size, dtype=torch.uint8).view(*shape)


def file_of(images: Tensor) -> str:
    """Return the file that holds a tensor's images, all of it; empty if there is none."""
    return images.untyped_storage().filename or ""


def _mapped(shape: Sequence[int]) -> Pixels:
    _delete_leftovers()
    handle, file = tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-")
    os.close(handle)
    maker = os.getpid()

    def delete() -> None:
        # A forked process does not own the file.
        if os.getpid() == maker:
            Path(file).unlink(missing_ok=True)

    atexit.register(delete)
    return np.memmap(file, dtype=np.uint8, mode="w+", shape=tuple(shape))


def _delete_leftovers() -> None:
    """Delete the files of processes that were killed."""
    for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = file.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not Path("/proc", number).exists() and Path("/proc").exists():
            with suppress(OSError):
                file.unlink()
