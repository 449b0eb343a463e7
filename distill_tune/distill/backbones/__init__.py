"""Backbones: torchvision's classification models as feature extractors with a new linear head.

To add a small-image stem for another family, add a file with a ``small_stem`` function and an
entry in ``SMALL_STEMS``. All other torchvision classification models work unchanged, by name.
"""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from distill_tune.distill.backbones import alexnet, densenet, resnet
from distill_tune.distill.backbones.build_backbone import build_classifier, family_of, known_names
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.errors import InputError
from distill_tune.interfaces import Config

__all__ = ["SMALL_STEMS", "Backbone", "Classifier"]

SMALL_STEMS: dict[str, Callable[[nn.Module, int, int], None]] = {
    "AlexNet": alexnet.small_stem,
    "ResNet": resnet.small_stem,
    "DenseNet": densenet.small_stem,
}
"""torchvision class -> in-place change ``(model, channels, input_size)`` for images < 64 px."""

_FAMILIES = {"alexnet": "AlexNet", "resnet50": "ResNet", "densenet121": "DenseNet"}
_SMALLEST_IMAGENET_INPUT = {"alexnet": 64}


class Backbone(Config):
    """The classifier's network; a plain name in YAML is short for ``{name: ...}``."""

    name: str
    """Any torchvision classification model, such as ``alexnet``, ``resnet50``, ``densenet121``."""
    stem: Literal["auto", "imagenet", "small"] = "auto"
    """``imagenet``: torchvision's own first layers; ``small``: a 3x3 stride-1 first convolution
    without the first pooling (AlexNet, ResNets, DenseNets); ``auto``: small below 64 px."""
    input_size: int | None = Field(default=None, ge=4, le=1024)
    """Side in pixels to which images are resized. None: the images' own size, but at least 32
    (AlexNet 64) with the ``imagenet`` stem."""
    pretrained: bool = False
    """Start from torchvision's ImageNet weights (needs internet access), so not from scratch."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, raw: Any) -> Any:
        return {"name": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _is_known(self) -> "Backbone":
        if self.name not in _FAMILIES and self.name not in known_names():
            raise ValueError(
                InputError(
                    "name",
                    got=self.name,
                    expected="a classification model of torchvision, such as alexnet, resnet50 "
                    "or densenet121",
                    choices=known_names(),
                )
            )
        return self

    def build(
        self, *, num_classes: int, channels: int, image_size: int, is_fetching: bool = True
    ) -> Classifier:
        """Return the classifier with new weights, drawn from torch's global random state.

        Args:
            num_classes: Number of classes, at least 2.
            channels: 1 for grey, 3 for colour.
            image_size: Height and width of its input images.
            is_fetching: Whether pre-trained weights are fetched. If not, the network is the same
                with placeholder weights, to be replaced by loading a state dict.

        Raises:
            InputError: The stem does not exist for this model, or the images are too small.
        """
        return build_classifier(
            self.name,
            stem=SMALL_STEMS if self._wants_small_stem(image_size) else None,
            is_stem_asked=self.stem == "small",
            input_size=self.input_size or self._input_size(image_size),
            origin=("fetched" if is_fetching else "to load") if self.pretrained else "fresh",
            shape=(num_classes, channels, image_size),
        )

    def _wants_small_stem(self, image_size: int) -> bool:
        return self.stem == "small" or (
            self.stem == "auto"
            and not self.pretrained
            and (self.input_size or image_size) < 64
            and family_of(self.name) in SMALL_STEMS
        )

    def _input_size(self, image_size: int) -> int:
        if self._wants_small_stem(image_size):
            return image_size
        return max(image_size, _SMALLEST_IMAGENET_INPUT.get(self.name, 32))
