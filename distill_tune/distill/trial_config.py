"""The configuration of a trial: the same configuration gives the same results.

Four fields are searched by default (``joint.margin``, ``joint.synthetic_ratio``,
``joint.hard_threshold``, ``joint.gan_lr``); any other field can be searched too, by
its dotted path.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from distill_tune.datasets import Dataset
from distill_tune.distill.backbones import AnyBackbone
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.gans import AnyGan, Sngan
from distill_tune.distill.metrics import known_metric
from distill_tune.interfaces import Config
from distill_tune.records.words.metric_names import ACCURACY

Preset = Literal["safe", "poster_literal"]

PRESETS: dict[str, dict[str, Any]] = {
    "safe": {},
    "poster_literal": {
        "unfit_policy": "warn",
        "hard_rule": "misclassified",
        "pairing": "any",
        "feature_norm": "none",
        "batch_norm": "mixed",
        "margin_unit": "feature",
        "selection": "none",
    },
}
"""Fields of ``joint`` that a preset changes; values set by the user take precedence."""


class ClassifierTraining(Config):
    """Configuration of stage 1 and of the classifier in stage 3."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training split in stage 1."""
    batch_size: int = Field(default=64, ge=2)
    """Real images per step, in stages 1 and 3."""
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    """Real images of an epoch, in stages 1 and 3. ``shuffle``: each at most once, in random order;
    ``balanced``: as many, but equally many of each class, so that those of rare classes recur."""
    class_weights: Literal["none", "balanced", "effective_number"] = "none"
    """Weight of each class in the loss of real images, in stages 1 and 3. ``balanced``: one over
    its number of training images; ``effective_number``: one over the effective number of samples
    (Cui et al., CVPR 2019, beta 0.999), which differs less. The mean weight of an image is 1."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """``sgd`` uses Nesterov momentum 0.9."""
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at the start of stage 1."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Decay of the learning rate over a stage's epochs, in stages 1 and 3."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decoupled weight decay (AdamW), or L2 (SGD)."""
    shift: float = Field(default=0.125, ge=0, le=0.5)
    """Augmentation A: largest shift as a share of the image side. Mirroring depends on the data."""
    augmentation: Literal["shift", "affine", "randaugment"] = "shift"
    """``shift``: A only shifts; ``affine``: A also rotates (up to 15 degrees), scales (0.85 to
    1.15) and shears (up to 10 degrees); ``randaugment``: RandAugment (Cubuk et al., 2020), then
    the shift."""
    cutmix: float = Field(default=0.0, ge=0, le=1)
    """Share of the batches to which CutMix (Yun et al., ICCV 2019) is applied after A."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of real images, in stages 1 and 3."""


class Compute(Config):
    """Settings of speed and rounding, not of the method. Eager float32 is the reference.

    Losses, hardness, validation, monitors, the features of the triplet loss, weights and optimisers
    are always float32. On a GPU, convolutions of float32 round their inputs to TF32 (10 bits of
    mantissa), as torch does by default; matrix products do not.
    """

    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """Precision of forward passes in training. ``bfloat16``: autocast; ``auto``: bfloat16 on a
    GPU that computes in it (compute capability 8.0 or newer), else float32."""
    compile: bool = False
    """Compile forward passes in training while shapes are fixed, that is, not while
    the synthetic ratio or the class signal grows. Uses CUDA graphs on a GPU, where it needs a C
    compiler; on a CPU a C++ compiler; on both, the header files of Python."""

    def is_bfloat16(self, *, is_native: bool) -> bool:
        """Return whether forward passes in training are autocast to bfloat16.

        Args:
            is_native: Whether the device is a GPU that computes in bfloat16.
        """
        return is_native if self.precision == "auto" else self.precision == "bfloat16"


class TrialTemplate(Config):
    """The fields of a trial except its data and backbone."""

    preset: Preset = "safe"
    """``safe``: the defaults; ``poster_literal``: misclassified, pairing any, literal margin,
    mixed batch norm."""
    classifier: ClassifierTraining = ClassifierTraining()
    """Stage 1."""
    gan: AnyGan = Sngan()
    """Stage 2 and the GAN itself."""
    joint: JointTraining = JointTraining()
    """Stage 3."""
    compute: Compute = Compute()
    """Precision and compilation."""
    seed: int = Field(default=0, ge=0)
    """Seed of all random streams of a trial."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        preset = PRESETS.get(str(raw.get("preset", "safe")), {})
        joint = raw.get("joint", {})
        if isinstance(joint, JointTraining):
            joint = joint.model_dump(exclude_unset=True)
        if not preset or not isinstance(joint, dict):
            return raw
        return {**raw, "joint": {**preset, **joint}}


class TrialConfig(TrialTemplate):
    """The complete configuration of a trial, including data and backbone."""

    data: Dataset
    """The data set."""
    backbone: AnyBackbone
    """The classifier's network."""
    metric: str = ACCURACY
    """Validation metric by which the best weights are kept; a study sets it to ``search.metric``.
    """

    _metric_is_known = field_validator("metric")(known_metric)

    @property
    def in_triplet_stage(self) -> "TrialConfig":
        """The configuration of the triplet pre-training, with its own margin and threshold."""
        own = {"margin": self.gan.triplet_margin, "hard_threshold": self.gan.triplet_threshold}
        given = {name: value for name, value in own.items() if value is not None}
        if not given:
            return self
        inherited = {"triplet_margin": None, "triplet_threshold": None}
        parts = {
            "gan": self.gan.model_copy(update=inherited),
            "joint": self.joint.model_copy(update=given),
        }
        return self.model_copy(update=parts)

    @property
    def warmup_limit(self) -> int:
        """Maximum number of generator steps of the warm-up; 0 without a GAN."""
        return self.gan.warmup_limit if self.joint.has_gan else 0

    @property
    def triplet_steps(self) -> int:
        """Generator steps of the triplet pre-training; 0 without a GAN."""
        return self.gan.triplet_steps if self.joint.has_gan else 0
