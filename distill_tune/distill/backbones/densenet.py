"""DenseNets (Huang et al. 2017, arXiv:1608.06993) for small images."""

from typing import cast

from torch import nn


def small_stem(model: nn.Module, channels: int, input_size: int) -> None:  # noqa: ARG001
    """Give a DenseNet a 3x3 stride-1 first convolution and no first pooling, in place.

    As in section 3 of the paper for CIFAR.

    Args:
        model: ``torchvision.models.DenseNet`` of any depth.
        channels: 1 or 3.
        input_size: Not used: a DenseNet pools globally.
    """
    features = cast("nn.Sequential", model.features)
    first = cast("nn.Conv2d", features.conv0)
    features.conv0 = nn.Conv2d(
        channels, first.out_channels, kernel_size=3, stride=1, padding=1, bias=False
    )
    features.pool0 = nn.Identity()
