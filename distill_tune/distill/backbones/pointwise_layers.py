"""Convolutions as matrix products, which are faster for small images on a CPU.

In the last layers of a ResNet or a DenseNet, a small image is a map of 1x1 or 2x2 values. There
the CPU's convolution spends most of its time on reordering weights; a matrix product does not.
Parameters and state dict are the same, and so is the result except for rounding.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution without padding or groups, as a matrix product on a CPU."""

    def forward(self, maps: Tensor) -> Tensor:
        if maps.is_cuda:
            return super().forward(maps)
        rows, columns = self.stride
        pixels = maps[:, :, ::rows, ::columns].permute(0, 2, 3, 1)
        # flatten instead of indexing, whose backward first fills a weight with zeros.
        return F.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class CentredConv2d(nn.Conv2d):
    """A 3x3 convolution with padding 1; on a CPU, a 1x1 map is multiplied by its centre only."""

    def forward(self, maps: Tensor) -> Tensor:
        if maps.is_cuda or maps.shape[2:] != (1, 1):
            return super().forward(maps)
        # Channels last is the weight's memory layout, so its gradient needs no reordering.
        centre = self.weight.permute(0, 2, 3, 1).flatten(1, 2)[:, 4]
        return F.linear(maps[:, :, 0, 0], centre, self.bias)[:, :, None, None]


def use_matrix_products(model: nn.Module) -> None:
    """Turn all suitable convolutions of a model into matrix products, in place."""
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.groups != 1 or module.dilation != (1, 1):
            continue
        if module.kernel_size == (1, 1) and module.padding == (0, 0):
            module.__class__ = PointwiseConv2d
        elif module.kernel_size == (3, 3) and module.padding == (1, 1):
            module.__class__ = CentredConv2d
