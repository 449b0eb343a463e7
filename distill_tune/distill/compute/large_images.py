"""Many large images at once: batches and parts of bounded memory.

What small images need stays in one piece, so that their numbers do not depend on these limits.
"""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_MOST, _EACH = 1 << 30, 1 << 28
"""Bytes of float32 copies up to which images are one part, and of each part beyond."""
_FORWARD, _FEWEST = 1 << 24, 8
"""Bytes of float32 images in a forward pass outside training, whose maps take many times as much;
and its fewest images."""
_WHOLE, _BLOCK = 1 << 27, 1 << 26
"""Bytes of float32 rows up to which they are one block, and of each block of columns beyond."""


def parts_of(images: Tensor) -> tuple[Tensor, ...]:
    """Return images ``[n, ...]`` in parts of at most 256 MB as float32; up to 1 GB, in one part."""
    of_image = 4 * images[:1].numel()
    if of_image * len(images) <= _MOST:
        return (images,)
    parts: tuple[Tensor, ...] = images.split(max(1, _EACH // of_image))
    return parts


def forward_batch(shape: Sequence[int], most: int) -> int:
    """Return how many images to pass through a network at a time, outside training.

    Args:
        shape: Channels, height and width of an image.
        most: Of small images: up to 74 pixels, in colour, for 250 of them.
    """
    return min(most, max(_FEWEST, _FORWARD // (4 * torch.Size(shape).numel())))


def made_together(count: int, shape: Sequence[int], device: torch.device) -> int:
    """Return how many of ``count`` images a generator makes at a time in a step of stage 3.

    Its maps take many times as much memory as the images. Up to 64 MB of them as float32, and on a
    GPU, it makes all at once.

    Args:
        count: How many are wanted.
        shape: Channels, height and width of an image.
        device: Where they are made.
    """
    is_small = 4 * torch.Size(shape).numel() * count <= _BLOCK
    return count if is_small or device.type != "cpu" else forward_batch(shape, count)


def in_memory(images: Tensor) -> int:
    """Return how many images of this shape take 128 MB as float32, at least one."""
    return max(1, _WHOLE // (4 * images[:1].numel()))


def pixels_of(images: Tensor) -> Tensor:
    """Return images, uint8 or in [-1, 1], as ``[n, pixels]`` float32 in [-1, 1]."""
    rows = images.flatten(1)
    if rows.dtype == torch.uint8:
        return rows.float().div_(127.5).sub_(1)
    return rows.float()


def column_blocks(rows: Tensor) -> tuple[Tensor, ...]:
    """Return rows ``[n, d]`` in blocks of columns of 64 MB as float32; up to 128 MB, in one."""
    if 4 * rows.numel() <= _WHOLE:
        return (rows,)
    blocks: tuple[Tensor, ...] = rows.split(max(1, _BLOCK // (4 * len(rows))), dim=1)
    return blocks


def joined(batches: Iterable[Tensor], count: int) -> Tensor:
    """Return ``count`` images in batches as one tensor; large ones are in memory only once."""
    given = iter(batches)
    first = next(given)
    if 4 * first[:1].numel() * count <= _WHOLE:
        return torch.cat([first, *given])
    found, done = first.new_empty((count, *first.shape[1:])), 0
    for batch in itertools.chain([first], given):
        found[done : done + len(batch)] = batch
        done += len(batch)
    return found
