"""The classifier F = head o phi, with the same preprocessing for real and synthetic images."""

import functools
from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

Frozen = Literal["none", "stem", "all"]
"""The part of a backbone that is not trained."""


class Classifier(nn.Module):
    """A backbone ``phi`` and a linear head.

    Args:
        body: Maps normalised images ``[n, channels, input_size, input_size]`` to features.
        feature_dim: Length of one image's features.
        num_classes: Number of classes.
        resize: ``(image_size, input_size)``; no resizing if both are equal.
        normalisation: Mean and standard deviation per channel, for images in [0, 1].

    Attributes:
        input_size: Side of the images that the body takes.
        heads_left_out: Dotted paths of the heads that the body's network had.
        remark: Where the weights come from, for the user; empty if they are random.
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
        self.input_size = resize[1]
        self.is_resizing = resize[0] != resize[1]
        self.heads_left_out: tuple[str, ...] = ()
        self.remark = ""
        self._frozen: tuple[nn.Module, ...] = ()
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in normalisation)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("interpolation", interpolation_matrix(*resize), persistent=False)

    @functools.cached_property
    def batch_norms(self) -> tuple[_BatchNorm, ...]:
        """The trained batch norms, cached so that steps need not traverse the network."""
        frozen = {id(inner) for module in self._frozen for inner in module.modules()}
        return tuple(
            module
            for module in self.modules()
            if isinstance(module, _BatchNorm) and id(module) not in frozen
        )

    def freeze(self, part: Frozen) -> None:
        """Keep a part of the body as it is: in eval mode always, and without gradients.

        Args:
            part: ``stem``: the first convolution and the normalisation beside it; ``all``: the
                body.
        """
        if part != "none":
            self._frozen = (self.body,) if part == "all" else tuple(_stem(self.body))
        for module in self._frozen:
            module.requires_grad_(requires_grad=False).eval()

    def train(self, mode: bool = True) -> "Classifier":
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def keep_normalisation(self) -> None:
        """Make mean and standard deviation part of the state dict, as they belong to the weights.

        A state dict without them is still loaded.
        """
        for name in ("mean", "std"):
            self.register_buffer(name, self.get_buffer(name), persistent=True)
        self.register_load_state_dict_pre_hook(_with_normalisation)  # type: ignore[no-untyped-call]

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


def _with_normalisation(
    classifier: nn.Module, state: dict[str, Any], prefix: str, *_: object
) -> None:
    for name in ("mean", "std"):
        state.setdefault(f"{prefix}{name}", classifier.get_buffer(name))


def _stem(body: nn.Module) -> Iterator[nn.Module]:
    """Yield the first convolution of a network, and the normalisation that directly follows it."""
    layers = [
        (path.rpartition(".")[0], module)
        for path, module in body.named_modules()
        if [*module.parameters(recurse=False)]
    ]
    convolutions = (n for n, (_, module) in enumerate(layers) if isinstance(module, nn.Conv2d))
    first = next(convolutions, len(layers))
    for number, (parent, module) in enumerate(layers[first : first + 2]):
        is_norm = isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm)
        if number == 0 or (is_norm and parent == layers[first][0]):
            yield module


def interpolation_matrix(size_in: int, size_out: int) -> Tensor:
    """Return the ``[size_out, size_in]`` matrix of antialiased bilinear resizing along one axis."""
    identity = torch.eye(size_in).view(1, 1, size_in, size_in)
    return F.interpolate(
        identity, size=(size_out, size_in), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].contiguous()
