"""All that one trial depends on: the same configuration gives the same numbers.

Four fields are the ones searched by default (``joint.margin``, ``joint.synthetic_ratio``,
``joint.hard_threshold``, ``joint.gan_lr``), but any field below can be, by its dotted path.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from distill_tune.datasets import Dataset
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.gans import AnyGan, Sngan
from distill_tune.distill.losses import FeatureNorm, MarginUnit
from distill_tune.interfaces import Config

Preset = Literal["safe", "poster_literal"]
Pairing = Literal["assign", "contrast", "class", "any"]
CollapsePolicy = Literal["continue", "rollback", "freeze", "stop"]
UnfitPolicy = Literal["warn", "scale", "stop"]
Selection = Literal["none", "agree", "hard"]

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
"""Fields of ``joint`` that a preset changes; what a user names himself wins."""


class ClassifierTraining(Config):
    """Stage 1, and the classifier's share of stage 3."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training split in stage 1."""
    batch_size: int = Field(default=64, ge=2)
    """Real images per step, in stages 1 and 3."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """``sgd`` has Nesterov momentum 0.9."""
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at the start of stage 1."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls over a stage's epochs, in stages 1 and 3 alike."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decoupled weight decay (AdamW), or L2 (SGD)."""
    shift: float = Field(default=0.125, ge=0, le=0.5)
    """Augmentation A: largest shift as a share of the image side. Mirroring is the data's."""
    augmentation: Literal["shift", "affine", "randaugment"] = "shift"
    """``shift``: A is no more than that; ``affine``: A also turns (up to 15 degrees), scales (0.85
    to 1.15) and shears (up to 10 degrees); ``randaugment``: RandAugment (Cubuk et al., 2020), then
    the shift."""
    cutmix: float = Field(default=0.0, ge=0, le=1)
    """Share of the batches whose images are mixed with each other after A (CutMix, Yun et al.,
    ICCV 2019)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Of the real images' labels, in stages 1 and 3."""


_PLATEAU = 2
"""Epochs without a better validation accuracy that are a plateau."""


class JointTraining(Config):
    """Stage 3, hardness and the triplet loss (which stage 2 uses too)."""

    epochs: int = Field(default=30, ge=1)
    """Epochs of stage 3: what ASHA counts."""
    margin: float = Field(default=0.3, ge=0)
    """m of the triplet loss, in the unit of ``margin_unit``."""
    synthetic_ratio: float = Field(default=0.5, ge=0, le=8)
    """Weight of the extra images, mostly synthetic, beside the real ones in the classifier's loss;
    0 = none, 1 = as much as the real ones. At least as many as real ones are drawn, and more
    above 1: batch norm on two images is noise."""
    selection: Selection = "none"
    """Which synthetic images the classifier learns from. ``none``: all. ``agree``: for each one
    ``candidates`` of its class are drawn, and the first is kept that the snapshot of the
    classifier gives this class. ``hard``: of those, the one that it is least sure of. Where all
    candidates are given other classes, none is kept, and the loss weighs that much less."""
    candidates: int = Field(default=4, ge=1, le=64)
    """Synthetic images drawn for each one that ``selection`` keeps."""
    hard_threshold: float = Field(default=0.3, gt=0, lt=1)
    """Where hard begins: share of each class (``quantile``) or probability of the true class
    (``confidence``)."""
    gan_lr: float = Field(default=5e-5, ge=0)
    """Learning rate of the GAN's fine-tuning; 0 freezes the generator."""
    extra_images: Literal["synthetic", "hard", "none"] = "synthetic"
    """What a classifier batch holds beside its real images: ``synthetic`` ones; ``hard`` real
    images once more, every class as likely as any other, and ``none``, both without a GAN."""
    triplet_weight: float = Field(default=0.5, ge=0)
    """Lambda, the weight of the triplet loss beside the adversarial one; 0 = plain GAN."""
    margin_unit: MarginUnit = "relative"
    """``relative``: margin in units of s, the median hard-easy distance within a class;
    ``feature``: literal, as on the poster."""
    feature_norm: FeatureNorm = "scale"
    """``scale``: distances in units of s; ``none``: as they are; ``l2``: on the unit sphere."""
    pairing: Pairing = "assign"
    """``assign``: hard samples matched one to one within a class; ``contrast``: the same, but easy
    samples of every class, which keeps synthetic images in theirs; ``class``: random within a
    class; ``any``: random over everything."""
    hard_rule: Literal["quantile", "confidence", "misclassified"] = "quantile"
    """What makes a training image hard."""
    min_hard: int = Field(default=8, ge=1)
    """A class has at least this many hard images (or 5 %, if more), and at most 60 %,
    which wins in a small class."""
    refresh: int | Literal["plateau", "never"] = 2
    """Epochs between new labels of hard and easy; ``plateau``: after two epochs without a
    better validation accuracy."""
    ramp_epochs: int = Field(default=5, ge=0)
    """Epochs over which the synthetic ratio grows from 0."""
    classifier_lr_factor: float = Field(default=1.0, gt=0)
    """The classifier's learning rate in stage 3, as a share of stage 1's."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Of the extra images' labels."""
    batch_norm: Literal["split", "mixed"] = "split"
    """``split``: synthetic images pass apart and leave the running statistics alone; ``mixed``:
    one concatenated batch."""
    monitor_images: int = Field(default=1000, ge=20)
    """Fixed synthetic images on which diversity and collapse are measured each epoch."""
    collapse_policy: CollapsePolicy = "continue"
    """What to do once the generator has collapsed: go on as on the poster, return to the last
    healthy generator, freeze it, or end the trial with reason ``collapsed``."""
    unfit_policy: UnfitPolicy = "scale"
    """What to do while the generator is unfit: fewer than 0.6 of its images agree with their
    labels. ``warn``: say so; ``scale``: also multiply ``synthetic_ratio`` by the agreement, which
    did least harm where it was measured; ``stop``: end the trial with reason
    ``generator_unfit``."""
    max_discriminator_gap: float | None = Field(default=None, gt=0)
    """Ends a trial, with reason ``discriminator_overfit``, whose discriminator's mean logit is
    higher by more than this on training than on validation images: it learns them by heart (the
    hinge loss asks for 1 on real and -1 on synthetic ones). null: no limit."""

    @property
    def has_gan(self) -> bool:
        """Whether there is a GAN to train."""
        return self.extra_images == "synthetic"

    def is_refresh_due(self, epoch: int, last_change: int) -> bool:
        """Tell whether training images are labelled anew before an epoch (0-based).

        Args:
            epoch: Of stage 3.
            last_change: The epoch of the last labelling, or of a better accuracy since.
        """
        if epoch == 0 or self.refresh == "never" or self.extra_images == "none":
            return False
        if self.refresh == "plateau":
            return epoch - last_change >= _PLATEAU
        return epoch % self.refresh == 0

    @model_validator(mode="after")
    def _refresh_is_positive(self) -> "JointTraining":
        if isinstance(self.refresh, int) and self.refresh < 1:
            raise ValueError("expected a whole number >= 1, plateau or never")
        return self


class Compute(Config):
    """How a trial computes: speed and rounding, not the method. Eager float32 is the reference.

    Losses, hardness, validation, monitors and the features of the triplet loss are float32 always,
    and so are weights and optimisers.
    """

    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """Of the networks' forwards in training; ``bfloat16`` is autocast, ``auto``: bfloat16 on a
    GPU, float32 on a CPU."""
    compile: bool = False
    """Whether those forwards are compiled, where shapes are fixed: not while the synthetic ratio
    or the class signal grows. On a GPU as CUDA graphs; needs a C++ compiler."""

    def is_bfloat16(self, *, is_gpu: bool) -> bool:
        """Return whether forwards in training are autocast to bfloat16 on this device."""
        return is_gpu if self.precision == "auto" else self.precision == "bfloat16"


class TrialTemplate(Config):
    """The fields of a procedure, whatever the data and the backbone."""

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
    """Every random stream of a trial starts from it."""

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
    """A trial: its data, its backbone, its procedure."""

    data: Dataset
    """What is learnt."""
    backbone: Backbone
    """Who learns it."""

    @property
    def warmup_limit(self) -> int:
        """The most generator steps of the warm-up; none without a GAN."""
        return self.gan.warmup_limit if self.joint.has_gan else 0

    @property
    def triplet_steps(self) -> int:
        """Generator steps of the triplet pre-training; none without a GAN."""
        return self.gan.triplet_steps if self.joint.has_gan else 0
