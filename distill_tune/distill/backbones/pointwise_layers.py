"""Convolutions as matrix products, which are faster for small images on a CPU.

In the last layers of a ResNet or a DenseNet, a small image is a map of 1x1 or 2x2 values. There
the CPU's convolution spends most of its time on reordering weights; a matrix product does not.
Parameters and state dict are the same, and so is the result except for rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
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

    kept_centre: Tensor | None = None
    """The weight's centre in a :func:`shared_centres` block."""

    def forward(self, maps: Tensor) -> Tensor:
        if maps.is_cuda or maps.shape[2:] != (1, 1):
            return super().forward(maps)
        kept = None if torch.compiler.is_compiling() else self.kept_centre
        centre = _centre(self.weight) if kept is None else kept
        return F.linear(maps[:, :, 0, 0], centre, self.bias)[:, :, None, None]

    def keep_centre(self) -> None:
        """Set ``kept_centre`` to a leaf whose gradient becomes that of the weight."""
        self.kept_centre = _centre(self.weight.detach())
        if self.weight.requires_grad:
            self.kept_centre.requires_grad_().register_post_accumulate_grad_hook(self._pass_on)

    def _pass_on(self, centre: Tensor) -> None:
        assert centre.grad is not None  # noqa: S101
        if self.weight.grad is not None:
            _centre(self.weight.grad).add_(centre.grad)
            return
        if self not in _GRADIENTS:
            _GRADIENTS[self] = torch.zeros_like(self.weight)
        self.weight.grad = _GRADIENTS[self]
        _centre(self.weight.grad).copy_(centre.grad)


_GRADIENTS: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()
"""Gradient of each layer's weight, zero but for its centre: to fill a new one with zeros in each
step takes as long as half of the optimiser's step."""


def _centre(weight: Tensor) -> Tensor:
    """Return the centre ``[out, in]`` of a weight ``[out, in, 3, 3]``, a view."""
    # Channels last is the weight's memory layout, so its gradient needs no reordering.
    return weight.permute(0, 2, 3, 1).flatten(1, 2)[:, 4]


@contextmanager
def shared_centres(model: nn.Module) -> Iterator[None]:
    """Use one leaf for each centre in all passes of a step.

    Its gradient, nine times as large and mostly zeros, is then made once and written to in each
    step, instead of made anew for every pass. The weights must not change within the block; one
    backward pass may follow it.

    Args:
        model: After :func:`use_matrix_products`.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, CentredConv2d)]
    for layer in layers:
        layer.keep_centre()
    try:
        yield
    finally:
        for layer in layers:
            layer.kept_centre = None


def use_matrix_products(model: nn.Module) -> None:
    """Turn all suitable convolutions of a model into matrix products, in place."""
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.groups != 1 or module.dilation != (1, 1):
            continue
        if module.kernel_size == (1, 1) and module.padding == (0, 0):
            module.__class__ = PointwiseConv2d
        elif module.kernel_size == (3, 3) and module.padding == (1, 1):
            module.__class__ = CentredConv2d
