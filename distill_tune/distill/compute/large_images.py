"""Parts of many large images, so that copies of them as float32 need bounded memory."""

from torch import Tensor

_MOST, _EACH = 1 << 30, 1 << 28
"""Bytes of float32 copies up to which images are one part, and of each part beyond."""


def parts_of(images: Tensor) -> tuple[Tensor, ...]:
    """Return images ``[n, ...]`` in parts of at most 256 MB as float32; up to 1 GB, in one part."""
    of_image = 4 * images[:1].numel()
    if of_image * len(images) <= _MOST:
        return (images,)
    parts: tuple[Tensor, ...] = images.split(max(1, _EACH // of_image))
    return parts
