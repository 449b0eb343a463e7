"""Convolutions as matrix products, which are faster for small images on a CPU.

In the last layers of a ResNet or a DenseNet, a small image is a map of 1x1 or 2x2 values. There
the CPU's convolution spends most of its time on reordering weights; a matrix product does not. The
result is the same except for rounding.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Found = TypeVar("Found")


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
        return F.linear(maps[:, :, 0, 0], centre(self.weight), self.bias)[:, :, None, None]


class OnePixelConv2d(nn.Linear):
    """A 3x3 convolution with padding 1 of maps that are always 1x1: only its centre acts.

    The other eight ninths of a weight would be most of a ResNet-18 for images of 16 pixels. Without
    them, gradients, optimiser and checkpoints are that much smaller.

    Args:
        convolution: Gives the centre of its weight, which becomes the weight ``[out, in]``.
    """

    def __init__(self, convolution: CentredConv2d) -> None:
        weight, bias = convolution.weight.detach(), convolution.bias
        with torch.device("meta"):
            super().__init__(convolution.in_channels, convolution.out_channels)
        self.weight = nn.Parameter(centre(weight).clone(memory_format=torch.contiguous_format))
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach()))
        self.train(convolution.training)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.flatten(1))[:, :, None, None]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        name = f"{prefix}weight"
        if name in state_dict:
            state_dict[name] = centre(state_dict[name])
        super()._load_from_state_dict(state_dict, prefix, *others)


def centre(weight: Tensor) -> Tensor:
    """Return the centre ``[out, in]`` of a weight ``[out, in, 3, 3]``; any other as it is."""
    # Channels last is the weight's memory layout, so its gradient needs no reordering.
    return weight.permute(0, 2, 3, 1).flatten(1, 2)[:, 4] if weight.dim() == 4 else weight


def use_matrix_products(model: nn.Module) -> None:
    """Turn all suitable convolutions of a model into matrix products, in place."""
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.groups != 1 or module.dilation != (1, 1):
            continue
        if module.kernel_size == (1, 1) and module.padding == (0, 0):
            module.__class__ = PointwiseConv2d
        elif module.kernel_size == (3, 3) and module.padding == (1, 1):
            module.__class__ = CentredConv2d


def use_centres_only(model: nn.Module, run: Callable[[], Found]) -> Found:
    """Leave out, in place, the weights of 3x3 convolutions that never act.

    Args:
        model: After :func:`use_matrix_products`; its images have always the same size.
        run: Passes an image of that size through it.

    Returns:
        What ``run`` returned.
    """
    sizes = defaultdict[CentredConv2d, set[torch.Size]](set)

    def note(module: nn.Module, maps: tuple[Tensor]) -> None:
        assert isinstance(module, CentredConv2d)  # noqa: S101
        sizes[module].add(maps[0].shape[2:])

    layers = [one for one in model.modules() if isinstance(one, CentredConv2d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        found = run()
    finally:
        for hook in hooks:
            hook.remove()
    for parent in [*model.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, CentredConv2d) and sizes[child] == {torch.Size((1, 1))}:
                setattr(parent, name, OnePixelConv2d(child))
    return found


def whole_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in the shapes of the original network, with zeros for those that never act.

    Args:
        model: The network that they are of.
        weights: Its state dict, or one like it.
    """
    whole = dict(weights)
    for path, module in model.named_modules():
        name = f"{path}.weight"
        if isinstance(module, OnePixelConv2d) and whole[name].dim() == 2:
            whole[name] = F.pad(whole[name][:, :, None, None], (1, 1, 1, 1))
    return whole
