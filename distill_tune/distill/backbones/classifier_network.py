"""The classifier F = head o phi, with the same preprocessing for real and synthetic images."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Classifier(nn.Module):
    """A backbone ``phi`` and a linear head.

    Args:
        body: Maps normalised images ``[n, channels, input_size, input_size]`` to features.
        feature_dim: Length of one image's features.
        num_classes: Number of classes.
        resize: ``(image_size, input_size)``; no resizing if both are equal.
        normalisation: Mean and standard deviation per channel, for images in [0, 1].
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        feature_dim: int,
        num_classes: int,
        resize: tuple[int, int],
        normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    ) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(feature_dim, num_classes)
        self.feature_dim = feature_dim
        self.is_resizing = resize[0] != resize[1]
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in normalisation)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("interpolation", interpolation_matrix(*resize), persistent=False)

    @functools.cached_property
    def batch_norms(self) -> tuple[_BatchNorm, ...]:
        """The body's batch norms, cached so that steps need not traverse the network."""
        return tuple(module for module in self.modules() if isinstance(module, _BatchNorm))

    def to_classifier(self, images: Tensor) -> Tensor:
        """Resize and normalise ``[n, c, image_size, image_size]`` images in [-1, 1].

        Bilinear resizing is two matrix products: their backward is deterministic on CUDA, unlike
        that of ``interpolate``.
        """
        if self.is_resizing:
            matrix = self.get_buffer("interpolation")
            images = matrix @ images @ matrix.T
        return ((images + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")

    def features(self, images: Tensor) -> Tensor:
        """Return phi, ``[n, feature_dim]``, of images in [-1, 1]."""
        features: Tensor = self.body(self.to_classifier(images))
        return features.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[n, num_classes]`` of images in [-1, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits


def interpolation_matrix(size_in: int, size_out: int) -> Tensor:
    """Return the ``[size_out, size_in]`` matrix of antialiased bilinear resizing along one axis."""
    identity = torch.eye(size_in).view(1, 1, size_in, size_in)
    return F.interpolate(
        identity, size=(size_out, size_in), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].contiguous()
