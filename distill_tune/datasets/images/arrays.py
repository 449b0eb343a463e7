"""Arrays of images: their layout, range of values, size and colour."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from distill_tune.datasets.image_pool import Bytes, Indices
from distill_tune.datasets.images.pixels import like, rows
from distill_tune.errors import InputError, Text

Color = Literal["auto", "grey", "rgb"]

CHUNK = 1024
"""Images processed at a time, so that comparisons need little memory beside the images."""


def channels_first(images: NDArray[Any], name: str) -> NDArray[Any]:
    """Return ``[n, h, w]``, ``[n, h, w, c]`` or ``[n, c, h, w]`` as ``[n, c, h, w]``.

    Raises:
        InputError: ``name`` has another shape, no pixels, or neither 1 nor 3 channels.
    """
    has_pixels = 0 not in images.shape[1:]
    if images.ndim == 3 and has_pixels:
        return images[:, None]
    if images.ndim == 4 and has_pixels and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if images.ndim == 4 and has_pixels and images.shape[1] in (1, 3):
        return images
    raise InputError(
        "data.root",
        got=Text(f"{name} of shape {images.shape}"),
        expected="[n, h, w], [n, h, w, c] or [n, c, h, w] with 1 or 3 channels",
    )


def to_bytes(images: NDArray[Any], name: str) -> Bytes:
    """Return images with values in [0, 1] or in 0..255 as uint8 in 0..255.

    Raises:
        InputError: The values of ``name`` are not numbers or lie outside these ranges; the message
            gives their range.
    """
    if images.dtype.kind not in "buif":
        raise InputError(
            "data.root", got=Text(f"{name} of type {images.dtype}"), expected="numbers"
        )
    if images.size == 0:
        return images.astype(np.uint8)
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):
        raise InputError(
            "data.root",
            got=Text(f"{name} with values in {low:g}..{high:g}"),
            expected="values in 0..1 or in 0..255",
        )
    if images.dtype == np.uint8 and high > 1:
        return images
    return np.round(images.astype(np.float32) * (255 if high <= 1 else 1)).astype(np.uint8)


def fit_image(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square, scaled to ``size`` (Lanczos, antialiased).

    Equivalent to scaling the shorter side and cropping, but without the long strip that an image of
    extreme shape would become.
    """
    width, height = image.size
    if width == height == size:
        return image
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def fit(images: Bytes, size: int | None) -> Bytes:
    """Return ``[n, c, h, w]`` as contiguous ``[n, c, size, size]``; None uses the shorter side."""
    size = size or min(images.shape[2:])
    if images.shape[2:] == (size, size):
        return np.ascontiguousarray(images)
    fitted = np.empty((*images.shape[:2], size, size), dtype=np.uint8)
    for number, image in enumerate(images):
        pixels = np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        scaled = np.asarray(fit_image(Image.fromarray(pixels), size))
        fitted[number] = scaled if len(image) == 1 else scaled.transpose(2, 0, 1)
    return fitted


def is_grey(images: Bytes, indices: Indices) -> bool:
    """Return whether the images at ``indices`` have no colour, regardless of their channels."""
    if images.shape[1] == 1:
        return True
    step = rows(images, CHUNK)
    for start in range(0, len(indices), step):
        some = images[indices[start : start + step]]
        if not (some[:, :1] == some[:, 1:]).all():
            return False
    return True


def num_channels(images: Bytes, color: Color, without: Indices) -> int:
    """Return 1 or 3: what ``color`` says; for ``auto``, 1 if no image has colour.

    Args:
        images: Of a part.
        color: Value of ``data.color``.
        without: Positions of the images that are not looked at.
    """
    if color != "auto":
        return 1 if color == "grey" else 3
    return 1 if is_grey(images, np.setdiff1d(np.arange(len(images)), without)) else 3


def with_channels(images: Bytes, channels: int) -> Bytes:
    """Return the images as grey (1 channel, luma of ITU-R BT.601) or RGB (3 channels)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    # 16-bit weights that add up to 65536, so a pixel without colour keeps its value.
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)
    grey, step = like(images, (len(images), 1, *images.shape[2:])), rows(images, CHUNK)
    for start in range(0, len(images), step):
        some = images[start : start + step].astype(np.uint32)
        grey[start : start + step, 0] = (np.einsum("nchw,c->nhw", some, weights) + 32768) >> 16
    return grey
