"""DCGAN with conditional batch norm and a projection discriminator.

Radford et al., "Unsupervised representation learning with deep convolutional generative adversarial
networks", ICLR 2016, arXiv:1511.06434: one convolution per resolution, without residual blocks.
Deviations: the resolution is doubled by repetition and a 3x3 convolution instead of a transposed
convolution, whose gradient is not deterministic on a GPU; the class enters by conditional batch
norm, and the discriminator by projection with spectral norm, as in :mod:`.sngan`.
"""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from distill_tune.distill.gans.blocks import (
    ConditionalBatchNorm,
    class_projections,
    double,
    light_discriminator_body,
    middle,
    spectrally_normalised,
    start_size,
    tapered_widths,
)
from distill_tune.distill.gans.training_fields import GanTraining


class Dcgan(GanTraining):
    """DCGAN: half the convolutions of SNGAN, so faster steps and simpler images."""

    kind: Literal["dcgan"] = "dcgan"
    """``dcgan``."""
    generator_width: int = Field(default=128, ge=4, le=4096)
    """Channels of the generator's first map; they halve at each doubling of the resolution."""
    generator_min_width: int = Field(default=32, ge=4, le=4096)
    """Channels do not fall below this."""
    discriminator_width: int = Field(default=64, ge=4, le=4096)
    """Channels of the discriminator's last layers; half as many before."""
    class_start: float = Field(default=0.5, ge=0, le=4)
    """Initial effect of the class on the generator's maps, relative to ``z``."""

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        return _Generator(self, num_classes, channels, image_size)

    def build_discriminator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        halvings = start_size(image_size)[1]
        return _Discriminator(self.discriminator_width, num_classes, channels, halvings)


class _Generator(nn.Module):
    """``z [n, latent_dim]``, ``labels [n]`` -> images ``[n, channels, size, size]`` in [-1, 1]."""

    def __init__(self, gan: Dcgan, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.base, doublings = start_size(image_size)
        widths = tapered_widths(gan.generator_width, gan.generator_min_width, doublings + 1)
        self.stem = nn.Linear(gan.latent_dim, widths[0] * self.base**2)
        norms = [ConditionalBatchNorm(width, gan.latent_dim, num_classes) for width in widths]
        for norm in norms:
            norm.start_class(gan.class_start)
        self.norms = nn.ModuleList(norms)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width_in, width, 3, padding=1) for width_in, width in pairwise(widths)
        )
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor, class_signal: float = 1.0) -> Tensor:
        maps = self.stem(z).view(len(z), -1, self.base, self.base)
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            maps = convolution(double(F.relu(norm(maps, z, labels, class_signal))))
        maps = F.relu(self.norms[-1](maps, z, labels, class_signal))
        images = torch.tanh(self.to_image(maps))
        return middle(images, self.image_size)


class _Discriminator(nn.Module):
    """Images, ``labels [n]`` or ``[n, m]`` -> logits of that shape; a negative label: no class."""

    def __init__(self, width: int, num_classes: int, channels: int, halvings: int) -> None:
        super().__init__()
        self.body = light_discriminator_body(channels, width, halvings)
        self.to_logit = spectrally_normalised(nn.Linear(width, 1))
        self.of_class = spectrally_normalised(nn.Embedding(num_classes, width))

    def forward(self, images: Tensor, labels: Tensor, class_signal: float = 1.0) -> Tensor:
        hidden = F.leaky_relu(self.body(images), 0.2).sum(dim=(2, 3))
        projections = class_projections(self.of_class, hidden, labels)
        logits: Tensor = self.to_logit(hidden) + class_signal * projections
        return logits.view_as(labels)
