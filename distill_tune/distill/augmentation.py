"""Changes to batches of images: the classifier's own (A) and the GAN's differentiable one (T).

Everything is batched, works on the images' device and avoids operations whose CUDA backward is
not deterministic (no ``grid_sample``): images are shifted by indexing.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.streams import integers, uniform


class GanAugmentation(NamedTuple):
    """T, after Zhao et al., "Differentiable augmentation", NeurIPS 2020, arXiv:2006.10738.

    Attributes:
        shift: Largest shift as a share of the side.
        cutout: Side of the blanked square as a share of the side.
        color: Whether brightness, saturation and contrast change.
    """

    shift: float
    cutout: float
    color: bool

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed images; differentiable with respect to them."""
        if self.color and images.shape[1] == 3:
            images = _recolor(images, generator)
        if self.shift > 0:
            images = shift(images, self.shift, generator)
        if self.cutout > 0:
            images = _cut_out(images, self.cutout, generator)
        return images


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8, rounded."""
    return images.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def classifier_augmentation(
    images: Tensor, *, max_shift: float, flip: bool, generator: torch.Generator
) -> Tensor:
    """Return A(images): a random shift and, where the data allow it, a random mirroring.

    Args:
        images: ``[n, channels, size, size]``, float32.
        max_shift: Largest shift as a share of the side.
        flip: Whether half of the images are mirrored.
        generator: On the images' device.
    """
    if flip:
        is_mirrored = uniform((len(images), 1, 1, 1), generator) < 0.5
        images = torch.where(is_mirrored, images.flip(3), images)
    return shift(images, max_shift, generator) if max_shift > 0 else images


def shift(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Move every image by its own whole number of pixels; borders are repeated."""
    n, _, height, width = images.shape
    limit = round(share * width)
    if limit == 0:
        return images
    moves = integers(2 * limit + 1, (2, n, 1), generator) - limit
    rows = (torch.arange(height, device=images.device) + moves[0]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moves[1]).clamp_(0, width - 1)
    batch = torch.arange(n, device=images.device)
    moved: Tensor = images.permute(0, 2, 3, 1)[
        batch[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2)


def _cut_out(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    n, _, height, width = images.shape
    half = share * width / 2
    centre = uniform((2, n, 1), generator) * width
    rows = (torch.arange(height, device=images.device) + 0.5 - centre[0]).abs() < half
    columns = (torch.arange(width, device=images.device) + 0.5 - centre[1]).abs() < half
    is_cut = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(is_cut, 0.0)


def _recolor(images: Tensor, generator: torch.Generator) -> Tensor:
    amounts = uniform((3, len(images), 1, 1, 1), generator)
    images = images + (amounts[0] - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (2 * amounts[1]) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (amounts[2] + 0.5) + mean
