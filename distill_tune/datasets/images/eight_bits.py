"""Conversion of images of any mode and depth to 8 bits, on white and scaled by value range."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from distill_tune.datasets.images.value_range import BYTES, levels, misfit
from distill_tune.interfaces import ValueRanges


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has a single channel of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def flat(image: Image.Image, ranges: ValueRanges) -> Image.Image:
    """Return an image of any mode as one of 8 bits without transparency.

    Raises:
        ValueError: The values do not fit the range; the message gives them.
    """
    if is_deep(image):
        return _eight_bits(image, ranges)
    low, high = ranges.eight_bit or BYTES
    is_scaled = (low, high) != BYTES and image.mode != "1"
    found = _without_transparency(image)
    if not is_scaled:
        return found
    return found.point(levels(np.arange(256), (low, high)).tolist() * len(found.getbands()))


def _without_transparency(image: Image.Image) -> Image.Image:
    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _eight_bits(image: Image.Image, ranges: ValueRanges) -> Image.Image:
    """Scale integers of more than 8 bits, or floats, from their range."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("values that are infinite or not numbers")
    pair = ranges.floats if image.mode == "F" else ranges.integers
    if pair is None:
        return _by_itself(values, is_float=image.mode == "F")
    reason = "" if ranges.is_given else misfit(values, pair)
    if reason:
        raise ValueError(reason)
    return Image.fromarray(levels(values, pair))


def _by_itself(values: NDArray[np.float64], *, is_float: bool) -> Image.Image:
    """Scale 16-bit values from 0..65535, floats from the smallest range that holds them."""
    low, high = float(values.min()), float(values.max())
    scales = (1, 255, 65535) if is_float else (65535,)
    scale = next((top for top in scales if high <= top), None)
    if scale is None or not low >= 0:
        raise ValueError(
            f"values in {low:g}..{high:g}, which are neither 8 nor 16 bits (data.value_range says "
            "which are black and white)"
        )
    return Image.fromarray(np.round(values * (255 / scale)).astype(np.uint8))
