"""Building blocks of a GAN's networks: normalisation and convolutional blocks."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm

Layer = TypeVar("Layer", bound=nn.Module)

_Z_STD = 0.05
_SLOPE = 0.1


class ConditionalBatchNorm(nn.Module):
    """Batch norm with scale and shift computed from ``z`` and the class."""

    def __init__(self, width: int, latent_dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.from_z = nn.Linear(latent_dim, 2 * width, bias=False)
        self.from_class = nn.Embedding(num_classes, 2 * width)
        nn.init.normal_(self.from_z.weight, std=_Z_STD)
        nn.init.zeros_(self.from_class.weight)

    def start_class(self, share: float) -> None:
        """Initialise the class's effect on the maps as a share of that of ``z``; 0: no effect.

        Draws from torch's global random state if the share is above 0.
        """
        if share > 0:
            std = share * _Z_STD * self.from_z.in_features**0.5
            nn.init.normal_(self.from_class.weight, std=std)

    def forward(
        self, maps: Tensor, z: Tensor, labels: Tensor, class_signal: float | Tensor
    ) -> Tensor:
        normed = self.norm(maps)
        change = self.from_z(z) + class_signal * self.from_class(labels)
        # Under autocast, an embedding is float32 and would make the maps float32 too.
        scale, shift = change.to(normed.dtype)[:, :, None, None].chunk(2, dim=1)
        result: Tensor = normed * (1 + scale) + shift
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

    def forward(
        self, maps: Tensor, z: Tensor, labels: Tensor, class_signal: float | Tensor
    ) -> Tensor:
        hidden = F.relu(self.norm1(maps, z, labels, class_signal))
        hidden = self.conv1(double(hidden))
        hidden = self.conv2(F.relu(self.norm2(hidden, z, labels, class_signal)))
        result: Tensor = hidden + double(self.skip(maps))
        return result


class LightGeneratorBlock(GeneratorBlock):
    """A generator block whose first convolution precedes the doubling, at a quarter of its cost."""

    def forward(
        self, maps: Tensor, z: Tensor, labels: Tensor, class_signal: float | Tensor
    ) -> Tensor:
        hidden = self.conv1(F.relu(self.norm1(maps, z, labels, class_signal)))
        hidden = double(F.relu(self.norm2(hidden, z, labels, class_signal)))
        result: Tensor = self.conv2(hidden) + double(self.skip(maps))
        return result


class _Float32SpectralNorm(_SpectralNorm):
    """Spectral norm outside autocast, as power iteration in bfloat16 is off by about a percent."""

    def forward(self, weight: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(weight.device.type):
            return super().forward(weight)
        with torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def spectrally_normalised(layer: Layer) -> Layer:
    """Add spectral norm, computed in float32, to a layer in place and return the layer."""
    spectral_norm(layer)
    for norm in layer.get_submodule("parametrizations.weight").children():
        norm.__class__ = _Float32SpectralNorm
    return layer


class DiscriminatorBlock(nn.Module):
    """A residual block with spectral norm that optionally halves the resolution."""

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


def light_discriminator_body(channels: int, width: int, halvings: int) -> nn.Sequential:
    """Return a stack of convolutions that halves the resolution with strides.

    Args:
        channels: Channels of the images.
        width: Channels of the result; half as many before the last halving.
        halvings: Number of halvings, at least 1.
    """
    widths = [max(1, width // 2)] * halvings + [width]
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
    layers += [
        nn.Conv2d(width_in, width_out, 4, stride=2, padding=1)
        for width_in, width_out in pairwise(widths)
    ]
    layers.append(nn.Conv2d(width, width, 3, padding=1))
    body: list[nn.Module] = []
    for layer in layers:
        body += [spectrally_normalised(layer), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*body[:-1])


def start_size(image_size: int) -> tuple[int, int]:
    """Return the side of the generator's first map and the number of doublings.

    They give the smallest size ``base * 2**doublings >= image_size`` with a base of 4 to 7; the
    surplus is cropped.
    """
    sizes = [
        (base * 2**doublings, doublings, base) for base in range(4, 8) for doublings in range(1, 9)
    ]
    _, doublings, base = min(size for size in sizes if size[0] >= image_size)
    return base, doublings


def tapered_widths(width: int, least: int, count: int) -> list[int]:
    """Return ``count`` widths: the first is ``width``, each other half of that before it.

    None is below ``least``, unless ``width`` itself is.
    """
    return [max(width // 2**level, min(least, width)) for level in range(count)]


def middle(images: Tensor, size: int) -> Tensor:
    """Return the middle ``[n, channels, size, size]`` of images at least as large."""
    surplus = (images.shape[-1] - size) // 2
    side = slice(surplus, surplus + size)
    return images[:, :, side, side]


def class_projections(of_class: nn.Module, hidden: Tensor, labels: Tensor) -> Tensor:
    """Return the projections ``[n, m]`` of ``hidden [n, width]`` onto their classes.

    Args:
        of_class: Embedding of the classes.
        hidden: What a discriminator makes of images.
        labels: ``[n]`` (then m is 1) or ``[n, m]``; a negative label stands for no class: 0.
    """
    asked = labels.view(len(labels), -1)
    projections: Tensor = (of_class(asked.clamp_min(0)) * hidden[:, None]).sum(dim=2)
    return projections * (asked >= 0)


def double(maps: Tensor) -> Tensor:
    """Double height and width by repetition (its backward is deterministic everywhere)."""
    return F.interpolate(maps, scale_factor=2, mode="nearest")


def halve(maps: Tensor) -> Tensor:
    """Halve height and width by averaging."""
    return F.avg_pool2d(maps, 2)


def _same(maps: Tensor) -> Tensor:
    return maps
