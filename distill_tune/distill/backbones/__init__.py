"""Backbones: classification models as feature extractors with a new linear head.

To add a small-image stem for another family, add a file with a ``small_stem`` function and an
entry in ``SMALL_STEMS``. All other classification models of torchvision and timm work unchanged,
by name.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from torch import nn

from distill_tune.datasets.folder_tree.paths import Root
from distill_tune.distill.backbones import alexnet, densenet, resnet, timm_models
from distill_tune.distill.backbones.build_backbone import (
    build_classifier,
    family_of,
    fixed_size,
    known_names,
    named_body,
)
from distill_tune.distill.backbones.classifier_network import Classifier, Frozen
from distill_tune.distill.backbones.network_body import CENTRED, Body, Origin
from distill_tune.distill.backbones.weights_file import load_weights, weights_digest
from distill_tune.errors import InputError
from distill_tune.interfaces import Config
from distill_tune.plugins import parts, validated

__all__ = ["SMALL_STEMS", "AnyBackbone", "Backbone", "Classifier"]

SMALL_STEMS: dict[str, Callable[[nn.Module, int, int], None]] = {
    "AlexNet": alexnet.small_stem,
    "ResNet": resnet.small_stem,
    "DenseNet": densenet.small_stem,
}
"""torchvision class -> in-place change ``(model, channels, input_size)`` for images < 64 px."""

_RESNETS = frozenset(f"resnet{depth}" for depth in (18, 34, 50, 101, 152))
_USUAL = _RESNETS | {"alexnet", "densenet121", "mobilenet_v3_small"}
"""Some of torchvision's names, known without its import, which takes seconds."""
_SMALLEST_IMAGENET_INPUT = {"alexnet": 64}


class Backbone(Config):
    """The classifier's network; a plain name in YAML is short for ``{name: ...}``."""

    name: str
    """Any torchvision classification model, such as ``alexnet``, ``resnet50``, ``densenet121``, or
    one of timm after ``timm/``, such as ``timm/resnet10t`` (``distill-tune[timm]``)."""
    stem: Literal["auto", "imagenet", "small"] = "auto"
    """``imagenet``: torchvision's own first layers; ``small``: a 3x3 stride-1 first convolution
    without the first pooling (AlexNet, ResNets, DenseNets); ``auto``: small below 64 px."""
    input_size: int | None = Field(default=None, ge=4, le=1024)
    """Side in pixels to which images are resized. None: the images' own size, but at least 32
    (AlexNet 64) with the ``imagenet`` stem; for pre-trained vision transformers, the size that they
    were made for."""
    pretrained: bool = False
    """Start from the ImageNet weights of torchvision or timm (needs internet access), so not from
    scratch."""
    weights: Root | None = None
    """Start from these weights, so not from scratch: a ``.safetensors`` file with a state dict of
    torchvision's or timm's network, or a model folder. Images are normalised as for these weights.
    A head for another number of classes is left out."""
    weights_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the weights, which a search writes down: changed weights are then refused."""
    freeze: Frozen = "none"
    """Part of a pre-trained network that is not trained. ``stem``: the first convolution and its
    normalisation; ``all``: everything but the head."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, raw: Any) -> Any:
        return {"name": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _is_known(self) -> "Backbone":
        if self.is_own:
            return self
        if self.name.startswith(timm_models.PREFIX):
            try:
                timm_models.check_name(self.name)
            except InputError as error:
                raise ValueError(error) from None
        elif self.name not in _USUAL and self.name not in known_names():
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

    @model_validator(mode="after")
    def _weights_are_clear(self) -> "Backbone":
        if self.pretrained and self.is_own:
            expected = "false, or weights: FILE: a plugin's network has none to fetch"
            raise ValueError(InputError("pretrained", got=True, expected=expected))
        if self.pretrained and self.weights is not None:
            expected = "no weights, or pretrained: false: the network starts from one of them"
            raise ValueError(InputError("weights", got=self.weights, expected=expected))
        if self.freeze != "none" and not self.is_pretrained:
            expected = "none, or weights (or pretrained: true): the others are random"
            raise ValueError(InputError("freeze", got=self.freeze, expected=expected))
        return self

    @property
    def is_pretrained(self) -> bool:
        """True unless the network starts from random weights."""
        return self.pretrained or self.weights is not None

    @property
    def takes_any_images(self) -> bool:
        """True if the network is known to take images of every size, without building it."""
        return self.name in _RESNETS and not self.is_own and not self.is_pretrained

    def fine_tuned(self, weights: str | None) -> "Backbone":
        """Return the backbone with pre-trained weights, all of which are trained.

        Args:
            weights: As the field; None: its own, or those that torchvision or timm has for it.

        Raises:
            InputError: The weights cannot be read.
        """
        changes: dict[str, object] = {"freeze": "none"}
        if weights is not None:
            digest = weights_digest(Path(weights))
            changes |= {"weights": weights, "weights_sha256": digest, "pretrained": False}
        elif self.weights is None:
            changes |= {"pretrained": True, "stem": "auto"}
        return self.model_copy(update=changes)

    def build(
        self, *, num_classes: int, channels: int, image_size: int, is_fetching: bool = True
    ) -> Classifier:
        """Return the classifier with new weights, drawn from torch's global random state.

        Args:
            num_classes: Number of classes, at least 2.
            channels: 1 for grey, 3 for colour.
            image_size: Height and width of its input images.
            is_fetching: Whether pre-trained weights are fetched or read from their file. If not,
                the network is the same with placeholder weights, to be replaced by loading a state
                dict.

        Raises:
            InputError: The stem does not exist for this model, the images are too small, or the
                weights are missing or do not fit.
        """
        input_size = self.input_size or self._input_size(image_size)
        origin = self._origin(is_fetching=is_fetching)
        if self.is_own:
            body = Body(self.network(channels=channels, input_size=input_size), (), CENTRED)
        else:
            body = named_body(
                self.name,
                stem=SMALL_STEMS if self._wants_small_stem(image_size) else None,
                is_stem_asked=self.stem == "small",
                input_size=input_size,
                origin=origin,
                channels=channels,
            )
        shape = (num_classes, channels, image_size)
        # A plugin's network may use its weights in other ways; a file has all the weights.
        is_whole = self.is_own or origin != "fresh"
        classifier = build_classifier(
            body, self.name, input_size=input_size, shape=shape, is_whole=is_whole
        )
        if origin != "fresh":
            classifier.keep_normalisation()
        if self.weights is not None and is_fetching:
            load_weights(classifier, Path(self.weights), name=self.name, sha256=self.weights_sha256)
        classifier.freeze(self.freeze)
        return classifier

    @property
    def is_own(self) -> bool:
        """True if the network is that of a plugin."""
        return type(self) is not Backbone

    def network(self, *, channels: int, input_size: int) -> nn.Module:
        """Return the network of a plugin, whose class overrides this.

        It maps images ``[n, channels, input_size, input_size]`` to features; new weights are drawn
        from torch's global random state.
        """
        raise NotImplementedError

    def _origin(self, *, is_fetching: bool) -> Origin:
        if self.weights is not None:
            return "file"
        return ("fetched" if is_fetching else "to load") if self.pretrained else "fresh"

    def _wants_small_stem(self, image_size: int) -> bool:
        if self.is_own:
            return False
        return self.stem == "small" or (
            self.stem == "auto"
            and not self.is_pretrained
            and (self.input_size or image_size) < 64
            and family_of(self.name) in SMALL_STEMS
        )

    def _input_size(self, image_size: int) -> int:
        if self._wants_small_stem(image_size):
            return image_size
        if self.is_own:
            return image_size
        fixed = fixed_size(self.name) if self.is_pretrained else None
        return fixed or max(image_size, _SMALLEST_IMAGENET_INPUT.get(self.name, 32))


def _of_plugin(raw: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Return a backbone whose name a plugin registers; the others are left to ``Backbone``."""
    if isinstance(raw, Backbone):
        return raw
    given = {"name": raw} if isinstance(raw, str) else raw
    name = given.get("name") if isinstance(given, dict) else None
    own = parts("backbones", Backbone).get(name) if isinstance(name, str) else None
    return handler(raw) if own is None else validated(own, given)


if TYPE_CHECKING:
    AnyBackbone = Backbone
else:
    # A field of this type accepts the names of torchvision, timm and of plugins.
    AnyBackbone = Annotated[SerializeAsAny[Backbone], WrapValidator(_of_plugin)]
