"""SNGAN with a projection discriminator: residual, conditional batch norm, spectral norm.

Miyato & Koyama, "cGANs with projection discriminator", ICLR 2018, arXiv:1802.05637; residual
blocks as in Miyato et al. 2018, arXiv:1802.05957, figure 4. Deviations: channels may taper as the
resolution doubles, ``z`` and the class enter every block, the class part starts at zero.
"""

from collections.abc import Callable
from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm

from distill_tune.gans.training import GanTraining

Layer = TypeVar("Layer", bound=nn.Module)


class Sngan(GanTraining):
    """SNGAN-projection; leads larger GANs in quality per step up to some 10,000 steps."""

    kind: Literal["sngan"] = "sngan"
    """``sngan``."""
    generator_width: int = Field(default=128, ge=4, le=4096)
    """Channels of the generator's first block."""
    generator_min_width: int = Field(default=32, ge=4, le=4096)
    """Channels halve at each doubling of the resolution, but not below this."""
    discriminator_width: int = Field(default=64, ge=4, le=4096)
    """Channels of every discriminator block."""

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        base, doublings = start_size(image_size)
        widths = [
            max(
                self.generator_width // 2**level,
                min(self.generator_min_width, self.generator_width),
            )
            for level in range(doublings)
        ]
        return Generator(self.latent_dim, num_classes, channels, image_size, base, widths)

    def build_discriminator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        return Discriminator(num_classes, channels, image_size, self.discriminator_width)


def start_size(image_size: int) -> tuple[int, int]:
    """Return the side of the generator's first map and how often it doubles.

    The least size ``base * 2**doublings >= image_size`` with a base of 4 to 7; the surplus is
    cropped.
    """
    sizes = [
        (base * 2**doublings, doublings, base) for base in range(4, 8) for doublings in range(1, 9)
    ]
    _, doublings, base = min(size for size in sizes if size[0] >= image_size)
    return base, doublings


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift come from ``z`` and, from zero on, from the class."""

    def __init__(self, width: int, latent_dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.from_z = nn.Linear(latent_dim, 2 * width, bias=False)
        self.from_class = nn.Embedding(num_classes, 2 * width)
        nn.init.normal_(self.from_z.weight, std=0.05)
        nn.init.zeros_(self.from_class.weight)

    def forward(self, maps: Tensor, z: Tensor, labels: Tensor, class_signal: float) -> Tensor:
        change = self.from_z(z) + class_signal * self.from_class(labels)
        scale, shift = change[:, :, None, None].chunk(2, dim=1)
        result: Tensor = self.norm(maps) * (1 + scale) + shift
        return result


class GeneratorBlock(nn.Module):
    """A residual block that doubles the resolution."""

    def __init__(self, width_in: int, width: int, latent_dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(width_in, latent_dim, num_classes)
        self.norm2 = ConditionalBatchNorm(width, latent_dim, num_classes)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(width_in, width, 1)

    def forward(self, maps: Tensor, z: Tensor, labels: Tensor, class_signal: float) -> Tensor:
        hidden = F.relu(self.norm1(maps, z, labels, class_signal))
        hidden = self.conv1(double(hidden))
        hidden = self.conv2(F.relu(self.norm2(hidden, z, labels, class_signal)))
        result: Tensor = hidden + double(self.skip(maps))
        return result


class Generator(nn.Module):
    """``z [n, latent_dim]``, ``labels [n]`` -> images ``[n, channels, size, size]`` in [-1, 1]."""

    def __init__(
        self,
        latent_dim: int,
        num_classes: int,
        channels: int,
        image_size: int,
        base: int,
        widths: list[int],
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.base = base
        self.stem = nn.Linear(latent_dim, widths[0] * base**2)
        self.blocks = nn.ModuleList(
            GeneratorBlock(width_in, width, latent_dim, num_classes)
            for width_in, width in zip([widths[0], *widths], widths, strict=False)
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor, class_signal: float = 1.0) -> Tensor:
        maps = self.stem(z).view(len(z), -1, self.base, self.base)
        for block in self.blocks:
            maps = block(maps, z, labels, class_signal)
        images = torch.tanh(self.to_image(F.relu(self.norm(maps))))
        surplus = (images.shape[-1] - self.image_size) // 2
        side = slice(surplus, surplus + self.image_size)
        return images[:, :, side, side]


class _Float32SpectralNorm(_SpectralNorm):
    """Spectral norm outside autocast: power iteration in bfloat16 misses the norm by a percent."""

    def forward(self, weight: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(weight.device.type):
            return super().forward(weight)
        with torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def spectrally_normalised(layer: Layer) -> Layer:
    """Give a layer spectral norm that is computed in float32, in place."""
    spectral_norm(layer)
    for norm in layer.get_submodule("parametrizations.weight").children():
        norm.__class__ = _Float32SpectralNorm
    return layer


class DiscriminatorBlock(nn.Module):
    """A residual block, spectrally normalised, that may halve the resolution."""

    def __init__(self, width_in: int, width: int, *, is_first: bool, halves: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.conv1 = spectrally_normalised(nn.Conv2d(width_in, width, 3, padding=1))
        self.conv2 = spectrally_normalised(nn.Conv2d(width, width, 3, padding=1))
        self.skip = spectrally_normalised(nn.Conv2d(width_in, width, 1))
        self.resize: Callable[[Tensor], Tensor] = halve if halves else _same

    def forward(self, maps: Tensor) -> Tensor:
        hidden = self.conv1(maps if self.is_first else F.relu(maps))
        hidden = self.resize(self.conv2(F.relu(hidden)))
        return cast("Tensor", hidden + self.skip(self.resize(maps)))


class Discriminator(nn.Module):
    """Images ``[n, channels, size, size]``, ``labels [n]`` -> logits ``[n]``."""

    def __init__(self, num_classes: int, channels: int, image_size: int, width: int) -> None:
        super().__init__()
        halvings = max(1, start_size(image_size)[1])
        self.blocks = nn.Sequential(
            *(
                DiscriminatorBlock(
                    channels if level == 0 else width,
                    width,
                    is_first=level == 0,
                    halves=level < halvings,
                )
                for level in range(halvings + 1)
            )
        )
        self.to_logit = spectrally_normalised(nn.Linear(width, 1))
        self.of_class = spectrally_normalised(nn.Embedding(num_classes, width))

    def forward(self, images: Tensor, labels: Tensor, class_signal: float = 1.0) -> Tensor:
        hidden = F.relu(self.blocks(images)).sum(dim=(2, 3))
        projection = (self.of_class(labels) * hidden).sum(dim=1)
        logits: Tensor = self.to_logit(hidden).squeeze(1) + class_signal * projection
        return logits


def double(maps: Tensor) -> Tensor:
    """Double height and width by repetition (its backward is deterministic everywhere)."""
    return F.interpolate(maps, scale_factor=2, mode="nearest")


def halve(maps: Tensor) -> Tensor:
    """Halve height and width by averaging."""
    return F.avg_pool2d(maps, 2)


def _same(maps: Tensor) -> Tensor:
    return maps
