"""A backbone of one's own: three convolutions."""

from itertools import pairwise
from typing import Literal

from pydantic import Field
from torch import nn

from distill_tune.distill.backbones import Backbone


class TinyNet(Backbone):
    """Three convolutions and an average over the image."""

    name: Literal["tiny_net"] = "tiny_net"
    """``tiny_net``."""
    width: int = Field(default=16, ge=1)
    """Channels of the first convolution; they double twice."""

    def network(self, *, channels: int, input_size: int) -> nn.Module:  # noqa: ARG002
        widths = [channels, self.width, 2 * self.width, 4 * self.width]
        layers: list[nn.Module] = []
        for width_in, width in pairwise(widths):
            layers += [nn.Conv2d(width_in, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))


BACKBONES = {"tiny_net": TinyNet}
