"""Augmentations of image batches: the classifier's (A) and the GAN's differentiable one (T).

All functions are batched, work on the images' device and draw from the given generator. Code on
the gradient path avoids operations whose CUDA backward is not deterministic: images are shifted
by indexing. Affine changes use ``grid_sample``, without a gradient.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.compute.random_streams import integers, uniform

Move = Callable[[Tensor, float, torch.Generator], Tensor]
""":func:`shift` or :func:`affine`: takes images, the largest shift as a share of the side and a
generator."""

_TURN, _SHEAR = math.radians(15), math.tan(math.radians(10))
_SCALE = 0.15
_CONTRAST = 1.5 / 127.5


class Changes(NamedTuple):
    """Random numbers of the GAN's augmentation for ``n`` images; None: no such change.

    Attributes:
        amounts: ``[3, n, 1, 1, 1]`` in [0, 1): of brightness, saturation and contrast.
        moves: ``[2, n, 1]`` int64: pixels along either axis.
        centres: ``[2, n, 1]`` in [0, 1): centres of the blanked squares, as shares of the side.
    """

    amounts: Tensor | None
    moves: Tensor | None
    centres: Tensor | None


class GanAugmentation(NamedTuple):
    """T, after Zhao et al., "Differentiable augmentation", NeurIPS 2020, arXiv:2006.10738.

    Attributes:
        shift: Largest shift as a share of the image side.
        cutout: Side of the blanked square as a share of the image side.
        color: Whether brightness, saturation and contrast change.
    """

    shift: float
    cutout: float
    color: bool

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented images; differentiable with respect to ``images``."""
        return self.apply(images, self.draw(images.shape, generator))

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Changes:
        """Draw the changes of images ``[n, channels, size, size]`` of this shape."""
        n, channels, _, side = shape
        limit = round(self.shift * side)
        return Changes(
            uniform((3, n, 1, 1, 1), generator) if self.color and channels == 3 else None,
            _moves(n, limit, generator) if limit else None,
            uniform((2, n, 1), generator) if self.cutout > 0 else None,
        )

    def apply(self, images: Tensor, changes: Changes) -> Tensor:
        """Return changed images; differentiable with respect to ``images``."""
        if changes.amounts is not None:
            images = _recolor(images, changes.amounts)
        if changes.moves is not None:
            images = _moved(images, changes.moves)
        if changes.centres is not None:
            images = _blanked(images, self.cutout, changes.centres)
        return images


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8, rounded."""
    return images.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


class WeakChanges(NamedTuple):
    """Random numbers of A with shifts for ``n`` images; None: no such change.

    Attributes:
        is_mirrored: ``[n, 1, 1, 1]`` bool.
        moves: ``[2, n, 1]`` int64: pixels along either axis.
    """

    is_mirrored: Tensor | None
    moves: Tensor | None

    @classmethod
    def draw(
        cls, shape: Sequence[int], *, max_shift: float, flip: bool, generator: torch.Generator
    ) -> "WeakChanges":
        """Draw what :func:`classifier_augmentation` draws for images of this shape."""
        n, limit = shape[0], round(max_shift * shape[-1])
        is_mirrored = _mirrors(n, generator) if flip else None
        return cls(is_mirrored, _moves(n, limit, generator) if limit else None)

    def apply(self, images: Tensor, start: int) -> Tensor:
        """Return changed float32 images, the first of which is number ``start`` of the ``n``."""
        part = slice(start, start + len(images))
        if self.is_mirrored is not None:
            images = _mirrored(images, self.is_mirrored[part])
        return images if self.moves is None else _moved(images, self.moves[:, part])


def shift(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Shift every image by its own whole number of pixels; borders are repeated."""
    limit = round(share * images.shape[-1])
    return _moved(images, _moves(len(images), limit, generator)) if limit else images


def _mirrors(count: int, generator: torch.Generator) -> Tensor:
    return uniform((count, 1, 1, 1), generator) < 0.5


def _mirrored(images: Tensor, is_mirrored: Tensor) -> Tensor:
    return torch.where(is_mirrored, images.flip(3), images)


def _moves(count: int, limit: int, generator: torch.Generator) -> Tensor:
    return integers(2 * limit + 1, (2, count, 1), generator) - limit


def _moved(images: Tensor, moves: Tensor) -> Tensor:
    n, _, height, width = images.shape
    rows = (torch.arange(height, device=images.device) + moves[0]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moves[1]).clamp_(0, width - 1)
    batch = torch.arange(n, device=images.device)
    moved: Tensor = images.permute(0, 2, 3, 1)[
        batch[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2)


@torch.no_grad()
def affine(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Shift, rotate, scale and shear every image by its own amounts; borders are repeated.

    All amounts are relative to the side, so that images of 8 and of 64 pixels change alike:
    rotation by up to 15 degrees, scale 0.85 to 1.15, shear by up to 10 degrees, each uniform.
    Interpolation is bicubic: bilinear interpolation would blur images of few pixels.

    Args:
        images: ``[n, channels, size, size]``, float32 in [-1, 1].
        share: Largest shift along each axis as a share of the side; not rounded to whole pixels.
        generator: On the images' device.
    """
    amounts = 2 * uniform((5, len(images)), generator) - 1
    turn, scale, shear = _TURN * amounts[0], 1 + _SCALE * amounts[1], _SHEAR * amounts[2]
    moves = 2 * share * amounts[3:].T[:, :, None]  # grid_sample's coordinates run from -1 to 1.
    cos, sin = turn.cos() / scale, turn.sin() / scale
    linear = torch.stack([cos, cos * shear - sin, sin, sin * shear + cos], dim=1).view(-1, 2, 2)
    source = torch.cat([linear, linear @ moves], dim=2)  # Source position of each pixel.
    grid = F.affine_grid(source, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return moved.clamp_(-1.0, 1.0)


def classifier_augmentation(
    images: Tensor,
    *,
    max_shift: float,
    flip: bool,
    generator: torch.Generator,
    move: Move = shift,
) -> Tensor:
    """Return A(images): a random ``move`` and, if ``flip`` is set, random mirroring.

    Args:
        images: ``[n, channels, size, size]``, float32.
        max_shift: Largest shift as a share of the side.
        flip: Whether half of the images are mirrored.
        generator: On the images' device.
        move: ``shift`` or ``affine``.
    """
    if flip:
        images = _mirrored(images, _mirrors(len(images), generator))
    return move(images, max_shift, generator)


def without_blanks(changed: Tensor, images: Tensor) -> Tensor:
    """Return changed images, with blank ones replaced by their originals.

    An image is blank if every channel is constant to within one of 256 levels.

    Args:
        changed: ``[n, channels, size, size]``, float32 in [-1, 1].
        images: The originals, of the same shape.
    """
    lowest, highest = changed.flatten(2).aminmax(dim=2)
    is_seen = (highest - lowest).amax(dim=1) >= _CONTRAST
    return torch.where(is_seen[:, None, None, None], changed, images)


def cut_out(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blank a square at a random place of every image; ``share`` is its side as a share."""
    return _blanked(images, share, uniform((2, len(images), 1), generator))


def _blanked(images: Tensor, share: float, centres: Tensor) -> Tensor:
    _, _, height, width = images.shape
    half = share * width / 2
    centre = centres * width
    rows = (torch.arange(height, device=images.device) + 0.5 - centre[0]).abs() < half
    columns = (torch.arange(width, device=images.device) + 0.5 - centre[1]).abs() < half
    is_cut = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(is_cut, 0.0)


def _recolor(images: Tensor, amounts: Tensor) -> Tensor:
    images = images + (amounts[0] - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (2 * amounts[1]) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (amounts[2] + 0.5) + mean
