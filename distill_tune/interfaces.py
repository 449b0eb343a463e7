"""The interfaces shared by all subpackages: data set, GAN, configuration. Read this first.

Conventions everywhere: stored images are uint8 NCHW in 0..255, in computations float32 NCHW in
[-1, 1]; labels are int64; rates, ratios and accuracies are in [0, 1]; names of durations in
seconds end in ``_s``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, field_validator

if TYPE_CHECKING:
    from torch import Tensor, nn

Metrics = dict[str, float]
Say = Callable[[str], None]
"""Shows in words what is being done."""
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
"""Failures caused by the proposed params: the sampler learns to avoid them."""

COLLAPSE_RATIO = 0.25
"""A generator has collapsed if its images' diversity relative to real hard ones is below this."""


class Config(BaseModel):
    """Base class of all configurations: frozen, strict, no unknown keys, every field documented."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


class ValueRanges(Config):
    """The values that become black (0) and white (255), one pair for each value type.

    A pair applies to every image of a data set and to new images passed to a model. None: the
    data has no values of this type; such an image is scaled by its own values.
    """

    eight_bit: tuple[float, float] | None = None
    """For files with 8 bits per channel and uint8 arrays."""
    integers: tuple[float, float] | None = None
    """For integers with more bits."""
    floats: tuple[float, float] | None = None
    """For floating-point numbers."""
    is_given: bool = False
    """True if the user set the range: values outside it are then clipped, however many."""

    @field_validator("eight_bit", "integers", "floats")
    @classmethod
    def _ascends(cls, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        if pair is not None and not pair[0] < pair[1]:
            raise ValueError("expected [low, high] with low below high")
        return pair


class Split(NamedTuple):
    """Images and their labels.

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
        name: Display name, such as ``mnist5k``.
        classes: Names of the classes; their order defines the labels.
        train: Training split of the classifier and the GAN.
        val: Validation split, on which the search compares trials.
        flip: Whether a mirrored image keeps its meaning (not for digits).
        skipped: Files left out because they could not be read, each ``path: reason``.
        digest: 16 hex digits over names, images and labels of ``train`` and ``val``, and over
            ``unlabelled`` if there are such images.
        warnings: Warnings for the user, such as images that two splits share.
        origin: Description of where train, validation and test come from.
        value_ranges: Values mapped to black and white when the images were read.
        unlabelled: Images without labels, ``[n, channels, size, size]``, uint8; None if there are
            none. No validation or test image is among them.
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
    unlabelled: "Tensor | None" = None

    @property
    def num_unlabelled(self) -> int:
        """The number of images without labels."""
        return 0 if self.unlabelled is None else len(self.unlabelled)

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

    def train_counts(self) -> list[int]:
        """Return the number of training images of each class."""
        counts: list[int] = self.train.labels.bincount(minlength=self.num_classes).tolist()
        return counts


class Gan(Protocol):
    """A kind of class-conditional GAN: a frozen configuration that builds its two networks."""

    @property
    def latent_dim(self) -> int:
        """Length of ``z``."""

    def build_generator(self, *, num_classes: int, channels: int, image_size: int) -> "nn.Module":
        """Return ``G(z [n, latent_dim], y [n], class_signal) -> [n, channels, size, size]``.

        ``class_signal`` in [0, 1], a number or a float32 scalar, scales the part of the network
        that depends on ``y``; the output is float32 in [-1, 1].
        """

    def build_discriminator(
        self, *, num_classes: int, channels: int, image_size: int
    ) -> "nn.Module":
        """Return ``D(x [n, channels, size, size], y [n], class_signal) -> logits [n]``.

        With several labels per image, ``y [n, m]``, the logits are ``[n, m]``. A negative label
        stands for no class: whether an image is real then depends on ``x`` alone.
        """


def plain(config: BaseModel) -> dict[str, Any]:
    """Return a configuration as plain data that fits into JSON, YAML and checkpoints."""
    return config.model_dump(mode="json")


def silent(text: str) -> None:
    """Show nothing."""
