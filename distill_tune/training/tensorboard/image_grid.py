"""Several images as one picture."""

import math
from typing import TYPE_CHECKING

import torch
from torch.utils.tensorboard.summary import image

if TYPE_CHECKING:
    from torch import Tensor


def image_grid(
    images: "Tensor", *, columns: int | None = None, min_pixels: int = 48, gap: int = 2
) -> "Tensor":
    """Return images as one picture, row by row, with white gaps.

    Args:
        images: ``[n, channels, height, width]``, float in [-1, 1], n >= 1; nan counts as 0.
        columns: Images per row; None = about as many as there are rows.
        min_pixels: Small images are enlarged by a whole factor to at least this height.
        gap: Pixels between the images.

    Returns:
        ``[channels, rows, columns]``, uint8, on the CPU.
    """
    factor = math.ceil(min_pixels / images.shape[-2])
    count, channels = images.shape[:2]
    height, width = (factor * side for side in images.shape[2:])
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    grid = torch.full((channels, *size), 255, dtype=torch.uint8)
    # One by one: copies of many large images would take gigabytes.
    for index, one in enumerate(_pixels(one, factor) for one in images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        grid[:, top : top + height, left : left + width] = one
    return grid


def _pixels(one: "Tensor", factor: int) -> "Tensor":
    scaled = (one.detach().cpu().float().nan_to_num(0.0).clamp(-1, 1) + 1) * 127.5
    pixels = scaled.round().to(torch.uint8)
    return pixels.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def grid_png(images: "Tensor", *, columns: int | None = None) -> bytes:
    """Return images ``[n, channels, height, width]``, float in [-1, 1], as a PNG of their grid."""
    summary = image("grid", image_grid(images, columns=columns), dataformats="CHW")
    return bytes(summary.value[0].image.encoded_image_string)
