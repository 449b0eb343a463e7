"""The contracts between the rooms: what a data set, a backbone and a GAN are. Read this first.

Conventions everywhere: images at rest are uint8 NCHW in 0..255, in computation float32 NCHW in
[-1, 1]; labels are int64; rates, ratios and accuracies lie in [0, 1]; seconds end in ``_s``.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, field_validator

if TYPE_CHECKING:
    from torch import Tensor, nn

Metrics = dict[str, float]
Stage = Literal["classifier", "warmup", "triplet", "joint", "done"]
TrialStatus = Literal["pending", "running", "complete", "pruned", "failed"]
FailureReason = Literal[
    "diverged",
    "collapsed",
    "discriminator_overfit",
    "generator_unfit",
    "out_of_memory",
    "worker_lost",
    "error",
]

INFEASIBLE: frozenset[FailureReason] = frozenset(
    {"diverged", "collapsed", "discriminator_overfit", "generator_unfit", "out_of_memory"}
)
"""Reasons that lie in what was proposed: the sampler keeps away from it."""

COLLAPSE_RATIO = 0.25
"""A generator whose images are less diverse than this share of real hard ones has collapsed."""

FIT_AGREEMENT = 0.9
"""A generator is fit when at least this share of its images agrees with their labels."""

UNFIT_AGREEMENT = 0.6
"""A generator below this share is unfit, and named in a warning."""


class Config(BaseModel):
    """What every configuration is: frozen, strict, no unknown keys, each field documented."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


class ValueRanges(Config):
    """The values that become black (0) and white (255), one pair for each type of values.

    A pair holds for every image of a data set, and for new images that a model is given. None:
    the data has no values of this type; such an image is scaled by its own values.
    """

    eight_bit: tuple[float, float] | None = None
    """Of files with 8 bits for each channel, of arrays of uint8."""
    integers: tuple[float, float] | None = None
    """Of integers of more bits."""
    floats: tuple[float, float] | None = None
    """Of floating-point numbers."""
    is_given: bool = False
    """Whether a user named the range: then values beyond it are clipped, however many."""

    @field_validator("eight_bit", "integers", "floats")
    @classmethod
    def _ascends(cls, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        if pair is not None and not pair[0] < pair[1]:
            raise ValueError("expected [low, high] with low below high")
        return pair


class Split(NamedTuple):
    """Some images and their labels.

    Attributes:
        images: ``[n, channels, size, size]``, uint8, contiguous.
        labels: ``[n]``, int64 in ``0 .. num_classes - 1``.
    """

    images: "Tensor"
    labels: "Tensor"


@dataclass(frozen=True)
class ImageData:
    """A data set without its test split, which only ``load_test`` builds.

    Attributes:
        name: For people, such as ``mnist5k``.
        classes: Names of the classes; their order gives the labels.
        train: What the classifier and the GAN learn from.
        val: What the search compares trials by.
        flip: Whether a mirrored image keeps its meaning (not for digits).
        skipped: Files left out because they could not be read, each ``path: reason``.
        digest: 16 hex digits over names, images and labels of ``train`` and ``val``.
        warnings: What its user should hear, in words: images that two splits share.
        origin: Where train, validation and test come from, in words.
        value_ranges: What became black and white when the images were read.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    flip: bool
    skipped: tuple[str, ...]
    digest: str
    warnings: tuple[str, ...] = ()
    origin: str = ""
    value_ranges: ValueRanges = ValueRanges()

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return int(self.train.images.shape[-1])

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)


class Gan(Protocol):
    """A class-conditional GAN kind: a frozen configuration that builds its two networks."""

    @property
    def latent_dim(self) -> int:
        """Length of ``z``."""

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> "nn.Module":
        """Return ``G(z [n, latent_dim], y [n], class_signal) -> [n, channels, size, size]``.

        ``class_signal`` in [0, 1] scales the part of the network that depends on ``y``; the
        output is float32 in [-1, 1].
        """

    def build_discriminator(
        self, *, num_classes: int, channels: int, image_size: int
    ) -> "nn.Module":
        """Return ``D(x [n, channels, size, size], y [n], class_signal) -> logits [n]``.

        With several labels for each image, ``y [n, m]``, the logits are ``[n, m]``.
        """


def plain(config: BaseModel) -> dict[str, Any]:
    """Return a configuration as plain data: what JSON, YAML and a checkpoint can hold."""
    return config.model_dump(mode="json")
