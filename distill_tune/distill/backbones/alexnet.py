"""AlexNet (Krizhevsky 2014, arXiv:1404.5997, torchvision's variant) for small images."""

from typing import cast

import torch
from torch import nn


def small_stem(model: nn.Module, channels: int, input_size: int) -> None:
    """Give AlexNet a 3x3 stride-1 first convolution and no first pooling, in place.

    Average pooling to at most 5x5 values replaces the adaptive 6x6 pooling before the fully
    connected layers: adaptive pooling has no deterministic backward on CUDA, and for small images
    it would only repeat the few remaining values.

    Args:
        model: ``torchvision.models.AlexNet``.
        channels: 1 or 3.
        input_size: Height and width of the network's input.
    """
    layers = list(cast("nn.Sequential", model.features))
    layers[0] = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1)
    del layers[2]
    model.features = nn.Sequential(*layers)
    with torch.no_grad():
        side = model.features(torch.zeros(1, channels, input_size, input_size)).shape[-1]
    kernel = max(1, side // 3)
    model.avgpool = nn.AvgPool2d(kernel)
    head = cast("nn.Sequential", model.classifier)
    head[1] = nn.Linear(256 * (side // kernel) ** 2, 4096)
