"""ResNets (He et al. 2016, arXiv:1512.03385) for small images."""

from typing import cast

from torch import nn


def small_stem(model: nn.Module, channels: int, input_size: int) -> None:  # noqa: ARG001
    """Give a ResNet a 3x3 stride-1 first convolution and no first pooling, in place.

    As in section 4.2 of the paper (its CIFAR-10 networks).

    Args:
        model: ``torchvision.models.ResNet`` of any depth.
        channels: 1 or 3.
        input_size: Not used: a ResNet pools globally.
    """
    width = cast("nn.BatchNorm2d", model.bn1).num_features
    model.conv1 = nn.Conv2d(channels, width, kernel_size=3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()
