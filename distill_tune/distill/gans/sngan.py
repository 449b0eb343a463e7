"""SNGAN with a projection discriminator: residual generator, conditional batch norm, spectral norm.

Miyato & Koyama, "cGANs with projection discriminator", ICLR 2018, arXiv:1802.05637; residual
blocks as in Miyato et al. 2018, arXiv:1802.05957, figure 4, and a strided discriminator based on
table 3 there. Deviations: channels may decrease as the resolution doubles, ``z`` and the class
enter every block, the class also enters the first map, and the strided discriminator is narrower.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from distill_tune.distill.gans.blocks import (
    ConditionalBatchNorm,
    DiscriminatorBlock,
    GeneratorBlock,
    LightGeneratorBlock,
    class_projections,
    light_discriminator_body,
    middle,
    spectrally_normalised,
    start_size,
    tapered_widths,
)
from distill_tune.distill.gans.training_fields import GanTraining


class Sngan(GanTraining):
    """SNGAN-projection; better than larger GANs at equal steps, up to about 10,000 steps."""

    kind: Literal["sngan"] = "sngan"
    """``sngan``."""
    generator_width: int = Field(default=128, ge=4, le=4096)
    """Channels of the generator's first block."""
    generator_min_width: int = Field(default=32, ge=4, le=4096)
    """Channels halve at each doubling of the resolution, but not below this."""
    discriminator_width: int = Field(default=64, ge=4, le=4096)
    """Channels of the discriminator's blocks."""
    blocks: Literal["light", "residual"] = "light"
    """``light``: the generator's first convolution precedes the doubling of the resolution, and the
    discriminator is a plain stack of strided convolutions; about half the time per step.
    ``residual``: as in Miyato et al."""
    class_start: float = Field(default=0.5, ge=0, le=4)
    """Initial effect of the class on the generator's maps, relative to ``z``; 0: none, and it
    never enters the first map. Generators that use the class from the start learn to follow it
    several times faster."""

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        return Generator(self, num_classes, channels, image_size)

    def build_discriminator(self, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
        """See :class:`distill_tune.interfaces.Gan`."""
        return Discriminator(self, num_classes, channels, image_size)


class Generator(nn.Module):
    """The generator: ``z [n, latent_dim]``, ``labels [n]`` -> images in [-1, 1].

    The images are ``[n, channels, size, size]``.
    """

    def __init__(self, gan: Sngan, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.base, doublings = start_size(image_size)
        widths = tapered_widths(gan.generator_width, gan.generator_min_width, doublings)
        self.stem = nn.Linear(gan.latent_dim, widths[0] * self.base**2)
        self.stem_of_class = None
        if gan.class_start > 0:
            self.stem_of_class = nn.Embedding(num_classes, widths[0] * self.base**2)
            # 3**-0.5 is the standard deviation of the stem's maps at default initialisation.
            nn.init.normal_(self.stem_of_class.weight, std=gan.class_start / 3**0.5)
        block = LightGeneratorBlock if gan.blocks == "light" else GeneratorBlock
        self.blocks = nn.ModuleList(
            block(width_in, width, gan.latent_dim, num_classes)
            for width_in, width in zip([widths[0], *widths], widths, strict=False)
        )
        for module in self.modules():
            if isinstance(module, ConditionalBatchNorm):
                module.start_class(gan.class_start)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor, class_signal: float | Tensor = 1.0) -> Tensor:
        maps = self.stem(z)
        if self.stem_of_class is not None:
            maps = maps + (class_signal * self.stem_of_class(labels)).to(maps.dtype)
        maps = maps.view(len(z), -1, self.base, self.base)
        for block in self.blocks:
            maps = block(maps, z, labels, class_signal)
        images = torch.tanh(self.to_image(F.relu(self.norm(maps))))
        return middle(images, self.image_size)


class Discriminator(nn.Module):
    """The discriminator: images ``[n, channels, size, size]``, ``labels [n]`` -> logits ``[n]``.

    With several labels per image, ``[n, m]``, the logits are ``[n, m]``. A negative label stands
    for no class.
    """

    def __init__(self, gan: Sngan, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__()
        width, halvings = gan.discriminator_width, start_size(image_size)[1]
        if gan.blocks == "light":
            self.blocks = light_discriminator_body(channels, width, halvings)
        else:
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

    def forward(self, images: Tensor, labels: Tensor, class_signal: float | Tensor = 1.0) -> Tensor:
        hidden = F.relu(self.blocks(images)).sum(dim=(2, 3))
        projections = class_projections(self.of_class, hidden, labels)
        logits: Tensor = self.to_logit(hidden) + class_signal * projections
        return logits.view_as(labels)
