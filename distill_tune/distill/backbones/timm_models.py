"""Classification models of timm (PyTorch Image Models), by their name after ``timm/``."""

from types import ModuleType

from distill_tune.distill.backbones.network_body import (
    CENTRED,
    Body,
    Origin,
    fetch_error,
    for_channels,
    size_error,
)
from distill_tune.errors import InputError, Text

PREFIX = "timm/"


def _timm(name: str) -> ModuleType:
    """Return the package.

    Raises:
        InputError: It is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(
            "name",
            got=Text(f"{name}, and the package timm cannot be imported ({error})"),
            expected="it to be installed: pip install 'distill-tune[timm]'",
        ) from error
    module: ModuleType = timm
    return module


def check_name(name: str) -> None:
    """Check a name such as ``timm/resnet10t`` or ``timm/resnet10t.c3_in1k``.

    Raises:
        InputError: timm is not installed or has no such model.
    """
    timm = _timm(name)
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    if not timm.is_model(model):
        raise InputError(
            "name",
            got=name,
            expected="a model of timm, such as timm/resnet10t",
            choices=[f"{PREFIX}{one}" for one in timm.list_models()],
        )
    known = [one.rpartition(".")[2] for one in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in known:
        tags = ", ".join(known) or "none: timm has no weights for it"
        raise InputError("name", got=name, expected=f"one of its tags: {tags}", choices=known)


def fixed_size(name: str) -> int | None:
    """Return the side in pixels for which a model was made; None if it takes every size."""
    config = _timm(name).get_pretrained_cfg(name.removeprefix(PREFIX))
    return int(config.input_size[1]) if config is not None and config.fixed_input_size else None


def timm_body(name: str, input_size: int, origin: Origin, channels: int) -> Body:
    """Build a model of timm without its head.

    Args:
        name: With the prefix ``timm/``.
        input_size: Height and width of its images.
        origin: Origin of the weights.
        channels: 1 or 3.

    Raises:
        InputError: The model does not take the size, or its weights cannot be fetched.
    """
    timm = _timm(name)
    sizes = {"img_size": input_size} if fixed_size(name) else {}
    is_fetched = origin == "fetched"
    try:
        model = timm.create_model(
            name.removeprefix(PREFIX),
            pretrained=is_fetched,
            num_classes=0,
            in_chans=channels,
            **sizes,
        )
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        if is_fetched:
            raise fetch_error(name, error) from error
        raise size_error(name, input_size, error) from error
    config = model.pretrained_cfg
    normalisation = CENTRED
    if origin != "fresh":
        normalisation = for_channels((tuple(config["mean"]), tuple(config["std"])), channels)
    heads = config.get("classifier") or ()
    return Body(model, (heads,) if isinstance(heads, str) else tuple(heads), normalisation)
