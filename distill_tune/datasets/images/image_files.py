"""Image files: finding, decoding and writing them, and reasons why one cannot be read."""

import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, UnidentifiedImageError

from distill_tune.datasets.folder_tree.listing import files_below, files_in
from distill_tune.datasets.folder_tree.part_names import is_of_a_system
from distill_tune.datasets.image_pool import Bytes
from distill_tune.datasets.images.arrays import fit_image
from distill_tune.datasets.images.eight_bits import flat
from distill_tune.datasets.images.orientation import upright
from distill_tune.datasets.images.pixels import empty
from distill_tune.datasets.images.png_chunks import without_notes
from distill_tune.datasets.images.value_range import PER_FILE
from distill_tune.interfaces import ValueRanges

# Formats whose pixels Pillow cannot decode by itself (PostScript starts a program).
NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
# Image files that Pillow cannot read; they are listed so that the user is told about them.
UNREADABLE = frozenset({".dcm", ".heic", ".heif", ".jxl", ".svg"})
# Formats that Pillow opens as another: a photograph of two views is a JPEG with a second image.
OPENED_AS_OTHERS = frozenset({"MPO"})
# Formats recognised without a known suffix, by their unmistakable first bytes.
RECOGNISED = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
MAX_WORKERS = 8
MAX_PIXELS = 1 << 26
"""Largest number of pixels of an image, by its header: a small file may claim billions."""
LARGE = 1 << 24
"""Pixels from which images are decoded one at a time: each may take 16 bytes a pixel."""


def image_paths(folder: Path, passed: list[Path] | None = None) -> list[Path]:
    """Return the image files below ``folder``, at any depth, in an order fixed by their names.

    Args:
        folder: As for ``listing.files_below``.
        passed: Extended with the paths that were passed over.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Broken files are reported later.
        return [path for path in files_below(folder, passed) if _looks_like_image(path)]


def holds_images(folder: Path) -> bool:
    """Return whether a folder has an image file at any depth; False if access is denied."""
    try:
        return any(map(is_image, files_below(folder)))
    except PermissionError:
        return False


def has_images(folder: Path) -> bool:
    """Return whether an image file lies directly in a folder; stops at the first one."""
    with os.scandir(folder) as entries:
        seen = (Path(entry.path) for entry in entries if not entry.is_dir())
        return any(is_image(path) for path in seen if not is_of_a_system(path.name))


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, in an order fixed by their names."""
    return list(filter(is_image, files_in(folder)))


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its name, or by its first bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _looks_like_image(path)


@contextmanager
def opened(path: Path, turn: AbstractContextManager[object] | None = None) -> Iterator[Image.Image]:
    """Open an image file; only its header is read.

    Args:
        path: The file.
        turn: Context held while a large image is open, because decoding it takes much memory.

    Raises:
        Exception: Whatever Pillow raises for a broken file; see ``decode_all``.
    """
    if not path.is_file():
        raise OSError("not a file that can be opened")
    with Image.open(without_notes(path) or path, formats=_formats()) as image:
        num_pixels = image.width * image.height
        if num_pixels > MAX_PIXELS:
            raise Image.DecompressionBombError
        with turn if turn and num_pixels >= LARGE else nullcontext():
            yield image


def decode(
    path: Path,
    size: int,
    turn: AbstractContextManager[object] | None = None,
    ranges: ValueRanges = PER_FILE,
) -> Bytes:
    """Return one image upright, on white, scaled and cropped, as ``[3, size, size]``.

    Args:
        path: The file.
        size: Height and width of the result.
        turn: Context held while a large image is decoded.
        ranges: Values that become 0 and 255.

    Raises:
        Exception: Whatever Pillow raises for a broken file; see ``decode_all``.
    """
    with opened(path, turn) as image:
        return _pixels(image, size, ranges)


def decode_all(
    paths: list[Path], size: int, ranges: ValueRanges = PER_FILE, most_bytes: int = sys.maxsize
) -> tuple[Bytes, dict[int, str]]:
    """Decode files in threads; ``ranges`` are the values that become 0 and 255.

    Images of more than ``most_bytes`` together are put into a file that is mapped into memory.

    Returns:
        Images ``[n, 3, size, size]``, and the reason for each position that could not be read; the
        pixels there are undefined.
    """
    images = empty((len(paths), 3, size, size), most_bytes)
    turn = Lock()

    def fill(number: int) -> str | None:
        try:
            images[number] = decode(paths[number], size, turn, ranges)
        except Exception as error:  # noqa: BLE001 - a broken file may raise anything in a decoder
            return _reason(error)
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(num_workers()) as workers:
        # Broken metadata does not matter for the pixels; Pillow's own limit is above ours.
        warnings.simplefilter("ignore")
        reasons = list(workers.map(fill, range(len(paths))))
    return images, {number: reason for number, reason in enumerate(reasons) if reason}


def sizes_and_modes(paths: Iterable[Path]) -> list[tuple[tuple[int, int], str]]:
    """Return width, height and Pillow's mode of each file that can be opened, by its header."""
    found: list[tuple[tuple[int, int], str]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            with suppress(Exception), opened(path) as image:  # Decoding reports broken files.
                found.append((image.size, image.mode))
    return found


def to_png(pixels: Bytes) -> bytes:
    """Return one image, ``[1 or 3, height, width]``, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(
        buffer, format="PNG"
    )
    return buffer.getvalue()


def num_workers() -> int:
    """Return the number of threads that read files."""
    return min(MAX_WORKERS, os.cpu_count() or 1)


def _reason(error: Exception) -> str:
    """Return the reason why a file was left out, on one line and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _pixels(image: Image.Image, size: int, ranges: ValueRanges) -> Bytes:
    # A large JPEG is decoded at a half, a quarter or an eighth, still larger than needed.
    image.draft(None, (4 * size, 4 * size))
    image = upright(image)
    square = fit_image(flat(image, ranges), size)
    colored = square if square.mode == "RGB" else square.convert("RGB")
    return np.asarray(colored).transpose(2, 0, 1)


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats to try, the common ones first; the file's first bytes decide."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_PIXELS)


def _looks_like_image(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in UNREADABLE:
        return True
    known = Image.registered_extensions().get(suffix)
    if known is not None:
        return known in _formats() or known in OPENED_AS_OTHERS
    if not path.is_file():
        return False
    try:
        Image.open(path, formats=RECOGNISED).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # noqa: BLE001 - recognised, but broken: decoding will say how
        return True
    return True
