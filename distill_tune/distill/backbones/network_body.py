"""A network without its head, and the words for one that does not take its images."""

from typing import Literal, NamedTuple

from torch import nn

from distill_tune.errors import InputError, Text

Origin = Literal["fresh", "fetched", "to load", "file"]
"""Origin of the weights: random, ImageNet's, placeholders for ImageNet's, or a file that is read
afterwards."""

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel, for images in [0, 1]."""

CENTRED: Normalisation = ((0.5,), (0.5,))
"""The normalisation of networks that are trained from scratch."""


class Body(NamedTuple):
    """A network without its head.

    Attributes:
        model: Maps normalised images to features.
        heads: Dotted paths, in a state dict of the whole network, of the head and of what else is
            left out; the head comes first.
        normalisation: That of its training images.
    """

    model: nn.Module
    heads: tuple[str, ...]
    normalisation: Normalisation


def for_channels(normalisation: Normalisation, channels: int) -> Normalisation:
    """Return a normalisation of colour images for ``channels`` channels; for grey, the average."""
    if channels == 3:
        return normalisation
    mean, std = (sum(values) / len(values) for values in normalisation)
    return (mean,), (std,)


def size_error(name: str, input_size: int, error: Exception) -> InputError:
    """Return the error for a network that does not take images of ``input_size`` pixels."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        "backbones",
        got=Text(f"{name} at {input_size} px, which it cannot take ({reason})"),
        expected="an input_size that it takes, as in {name: " + name + ", input_size: 224}",
    )


def fetch_error(name: str, error: Exception) -> InputError:
    """Return the error for pre-trained weights that cannot be fetched."""
    return InputError(
        "backbones",
        got=Text(f"{name} with pretrained: true, whose weights cannot be fetched ({error})"),
        expected="internet access, the weights in torch's hub cache, weights: FILE.safetensors, "
        "or pretrained: false",
    )
