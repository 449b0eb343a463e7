"""Construction of a :class:`Classifier` from a model's name: head, channels, input size."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from distill_tune.distill.backbones import timm_models
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.backbones.network_body import (
    CENTRED,
    Body,
    Normalisation,
    Origin,
    fetch_error,
    for_channels,
    size_error,
)
from distill_tune.distill.backbones.pointwise_layers import (
    use_centres_only,
    use_matrix_products,
)
from distill_tune.errors import InputError, Text

_IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads that torchvision's networks use in their first training only."""
_Stems = Mapping[str, Callable[[nn.Module, int, int], None]]


@functools.cache
def known_names() -> tuple[str, ...]:
    """Return the names of torchvision's classification models."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def family_of(name: str) -> str:
    """Return the name of a model's class, such as ``ResNet``, without building the model.

    It is empty for timm's models.
    """
    from torchvision import models

    if name.startswith(timm_models.PREFIX):
        return ""
    family = inspect.signature(models.get_model_builder(name)).return_annotation
    return str(getattr(family, "__name__", family))


def fixed_size(name: str) -> int | None:
    """Return the side of the images that a pre-trained model needs; None if it takes every size."""
    from torchvision import models

    if name.startswith(timm_models.PREFIX):
        return timm_models.fixed_size(name)
    if not name.startswith(("vit_", "maxvit_")):
        return None
    return int(models.get_model_weights(name).DEFAULT.meta["min_size"][0])


def named_body(
    name: str,
    *,
    stem: _Stems | None,
    is_stem_asked: bool,
    input_size: int,
    origin: Origin,
    channels: int,
) -> Body:
    """Build a model of torchvision or timm without its head.

    Args:
        name: Name of the model.
        stem: Small stems by class name, or None for the model's own stem.
        is_stem_asked: Whether a family without a small stem is an error.
        input_size: Height and width of the network's input.
        origin: Origin of the weights.
        channels: 1 or 3.

    Raises:
        InputError: The family has no small stem, the weights cannot be fetched, or the network
            does not accept the images.
    """
    if is_stem_asked and (stem is None or family_of(name) not in stem):
        raise InputError(
            "backbones",
            got=Text(f"{name} with stem: small"),
            expected="stem: imagenet (or auto) for this family",
        )
    if name.startswith(timm_models.PREFIX):
        return timm_models.timm_body(name, input_size, origin, channels)
    return _torchvision_body(name, stem, input_size, origin, channels)


def build_classifier(
    body: Body, name: str, *, input_size: int, shape: tuple[int, int, int], is_whole: bool
) -> Classifier:
    """Return a network without its head as a classifier.

    Args:
        body: The network.
        name: Its name, for messages.
        input_size: Height and width of its input.
        shape: ``(num_classes, channels, image_size)`` of the data.
        is_whole: Whether to keep weights that never act on images of that size.

    Raises:
        InputError: The network does not accept the images.
    """
    num_classes, channels, image_size = shape
    use_matrix_products(body.model)
    feature_dim = functools.partial(_feature_dim, body.model, name, channels, input_size)
    classifier = Classifier(
        body.model,
        feature_dim=feature_dim() if is_whole else use_centres_only(body.model, feature_dim),
        num_classes=num_classes,
        resize=(image_size, input_size),
        normalisation=body.normalisation,
    )
    classifier.heads_left_out = body.heads
    # A third faster on a CPU (AlexNet, DenseNet-121), and the native layout of tensor cores.
    return classifier.to(memory_format=torch.channels_last)


def _torchvision_body(
    name: str, stem: _Stems | None, input_size: int, origin: Origin, channels: int
) -> Body:
    model, family = _torchvision_model(name, input_size, origin), family_of(name)
    if stem is not None and family in stem:
        try:
            stem[family](model, channels, input_size)
        except RuntimeError as error:
            raise size_error(name, input_size, error) from error
    _set_channels(model, channels)
    head = _remove_head(model)
    normalisation = _IMAGENET if origin != "fresh" and channels == 3 else CENTRED
    if origin == "file":
        normalisation = for_channels(_IMAGENET, channels)
    return Body(model, (head, *_AUXILIARY), normalisation)


def _torchvision_model(name: str, input_size: int, origin: Origin) -> nn.Module:
    from torchvision import models

    builder = models.get_model_builder(name)
    options = _options(name, input_size, origin)
    if "input_size" in inspect.signature(builder).parameters or name == "maxvit_t":
        options["input_size"] = (input_size, input_size)
    try:
        model: nn.Module = builder(**options)
    except OSError as error:
        raise fetch_error(name, error) from error
    except (ValueError, AssertionError) as error:
        raise size_error(name, input_size, error) from error
    for auxiliary in _AUXILIARY:
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
            setattr(model, "aux_logits", False)  # noqa: B010 - nn.Module types it as a tensor
    return model


def _options(name: str, input_size: int, origin: Origin) -> dict[str, Any]:
    """Return keyword arguments for the model's builder."""
    options: dict[str, Any] = {"weights": "DEFAULT" if origin == "fetched" else None}
    if name.startswith(("resnet", "resnext", "wide_resnet")) and origin == "fresh":
        # Every residual block starts as the identity (Goyal et al. 2017, arXiv:1706.02677,
        # section 5.1): a deep ResNet then learns much faster within few steps.
        options["zero_init_residual"] = True
    if name in {"googlenet", "inception_v3"} and origin != "fetched":
        # With its weights, torchvision normalises once more inside these networks.
        is_fresh = origin == "fresh"
        options |= {"aux_logits": False, "init_weights": is_fresh, "transform_input": not is_fresh}
    if name.startswith("vit_") and origin in {"fresh", "file"}:
        options["image_size"] = input_size
    return options


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _set_channels(model: nn.Module, channels: int) -> None:
    """Adapt the first convolution to ``channels``; pre-trained filters are summed for grey."""
    path, first = next((p, m) for p, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels == channels:
        return
    changed = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    with torch.no_grad():
        changed.weight.copy_(first.weight.sum(dim=1, keepdim=True).expand_as(changed.weight))
        if first.bias is not None and changed.bias is not None:
            changed.bias.copy_(first.bias)
    _replace(model, path, changed)


def _remove_head(model: nn.Module) -> str:
    """Replace the layer that maps to classes (last linear; SqueezeNet: convolution) by identity.

    Returns:
        Its dotted path.
    """
    layers: list[str] = [
        path for path, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    _replace(model, layers[-1], nn.Identity())
    return layers[-1]


def _feature_dim(model: nn.Module, name: str, channels: int, input_size: int) -> int:
    """Return the length of the features, from one forward pass that does not change the model."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            features = model(torch.zeros(1, channels, input_size, input_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise size_error(name, input_size, error) from error
    finally:
        model.train(was_training)
    return int(features.flatten(1).shape[1])
