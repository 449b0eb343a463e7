"""Image files: found below a folder, decoded, written; and why one cannot be read."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, UnidentifiedImageError

from distill_tune.datasets.arrays import fit_image
from distill_tune.datasets.orientation import upright
from distill_tune.datasets.png_chunks import without_notes
from distill_tune.datasets.pool import Bytes
from distill_tune.datasets.walking import files_below, files_in

# Formats whose files are no pixels that Pillow itself could decode (PostScript starts a program).
NOT_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
# Image files all the same, so that a user hears of them although Pillow cannot read them.
UNREADABLE = frozenset({".dcm", ".heic", ".heif", ".jxl", ".svg"})
# Formats that a file without a known suffix is recognised as: those with unmistakable first bytes.
RECOGNISED = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
MAX_WORKERS = 8
MAX_PIXELS = 1 << 26
"""Of an image, by its header, before any is decoded: a few bytes may claim billions of them."""
LARGE = 1 << 24
"""Pixels from which on images are decoded one at a time: each may take 16 bytes a pixel."""


def image_paths(folder: Path, passed: list[Path] | None = None) -> list[Path]:
    """Return the image files below ``folder``, however deep, in an order fixed by their names.

    Args:
        folder: As ``walking.files_below`` takes it.
        passed: Filled with what was passed over.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of files that turn out to be broken, and are told so.
        return [path for path in files_below(folder, passed) if _looks_like_image(path)]


def holds_images(folder: Path) -> bool:
    """Tell whether there is an image file below a folder that may be read, however deep."""
    try:
        return any(_are_images(files_below(folder)))
    except PermissionError:
        return False


def images_in(folder: Path) -> list[Path]:
    """Return the image files right in a folder, in an order fixed by their names."""
    paths = files_in(folder)
    return [path for path, is_image in zip(paths, _are_images(paths), strict=True) if is_image]


def _are_images(paths: Iterable[Path]) -> Iterator[bool]:
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_image = _looks_like_image(path)
        yield is_image


def decode(path: Path, size: int, turn: AbstractContextManager[object] | None = None) -> Bytes:
    """Return one image upright, on white, scaled and cropped, as ``[3, size, size]``.

    Args:
        path: The file.
        size: Height and width of the result.
        turn: Entered while a large image is decoded.

    Raises:
        Exception: Whatever Pillow raises on a file that is broken; see ``decode_all``.
    """
    if not path.is_file():
        raise OSError("not a file that can be opened")
    with Image.open(without_notes(path) or path, formats=_formats()) as image:
        num_pixels = image.width * image.height
        if num_pixels > MAX_PIXELS:
            raise Image.DecompressionBombError
        with turn if turn and num_pixels >= LARGE else nullcontext():
            return _pixels(image, size)


def decode_all(paths: list[Path], size: int) -> tuple[Bytes, dict[int, str]]:
    """Decode files in threads.

    Returns:
        Images ``[n, 3, size, size]``, and the reason for each position that could not be read,
        whose pixels mean nothing.
    """
    images = np.empty((len(paths), 3, size, size), dtype=np.uint8)
    turn = Lock()

    def fill(number: int) -> str | None:
        try:
            images[number] = decode(paths[number], size, turn)
        except Exception as error:  # noqa: BLE001 - a broken file may raise anything in a decoder
            return _reason(error)
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(_num_workers()) as workers:
        # Broken metadata, of which the pixels are what counts, and a limit of Pillow's above ours.
        warnings.simplefilter("ignore")
        reasons = list(workers.map(fill, range(len(paths))))
    return images, {number: reason for number, reason in enumerate(reasons) if reason}


def to_png(pixels: Bytes) -> bytes:
    """Return one image, ``[1 or 3, height, width]``, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(
        buffer, format="PNG"
    )
    return buffer.getvalue()


def _num_workers() -> int:
    return min(MAX_WORKERS, os.cpu_count() or 1)


def _reason(error: Exception) -> str:
    """Return why a file was left out, on one line and without repeating its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _flat(image: Image.Image) -> Image.Image:
    """Return an image of any mode with 8 bits and without transparency."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bits(image)
    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _pixels(image: Image.Image, size: int) -> Bytes:
    # A large JPEG is decoded at a half, a quarter or an eighth: still more than is needed.
    image.draft(None, (4 * size, 4 * size))
    image = upright(image)
    square = fit_image(_flat(image), size)
    colored = square if square.mode == "RGB" else square.convert("RGB")
    return np.asarray(colored).transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit values from 0..65535, floats from the least range that holds them."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    scales = (1, 255, 65535) if image.mode == "F" else (65535,)
    scale = next((top for top in scales if high <= top), None)
    if scale is None or not low >= 0:
        raise ValueError(f"values in {low:g}..{high:g}, which are neither 8 nor 16 bits")
    return Image.fromarray(np.round(values * (255 / scale)).astype(np.uint8))


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
        return known in _formats()
    if not path.is_file():
        return False
    try:
        Image.open(path, formats=RECOGNISED).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # noqa: BLE001 - recognised, but broken: decoding will say how
        return True
    return True
