"""Fields of stage 3, of hardness and of the triplet loss."""

from typing import Literal

from pydantic import Field, model_validator

from distill_tune.distill.losses import FeatureNorm, MarginUnit
from distill_tune.interfaces import Config

Pairing = Literal["assign", "contrast", "class", "any"]
CollapsePolicy = Literal["continue", "rollback", "freeze", "stop"]
UnfitPolicy = Literal["warn", "scale", "stop"]
Selection = Literal["none", "agree", "hard"]
ClassRatio = Literal["uniform", "inverse", "by_error"]

_PLATEAU = 2
"""A plateau is this many epochs without a better validation metric."""


class JointTraining(Config):
    """Configuration of stage 3, hardness and the triplet loss (which stage 2 uses too)."""

    epochs: int = Field(default=30, ge=1)
    """Epochs of stage 3; the resource of ASHA."""
    margin: float = Field(default=0.3, ge=0)
    """m of the triplet loss, in the unit of ``margin_unit``."""
    synthetic_ratio: float = Field(default=0.5, ge=0, le=8)
    """Weight of the extra (usually synthetic) images relative to the real ones in the classifier's
    loss; 0 = none, 1 = equal weight. At least as many as real ones are drawn, more above 1, because
    batch norm on very few images is noisy."""
    selection: Selection = "none"
    """Selection of synthetic images for the classifier. ``none``: all are used. ``agree``:
    ``candidates`` images are drawn for each one, and the first for which the classifier's snapshot
    predicts the requested class is kept. ``hard``: of all such images, the one with the lowest
    probability. If there is none, no image is kept and the loss weight is reduced accordingly."""
    candidates: int = Field(default=4, ge=1, le=64)
    """Synthetic images drawn for each one that ``selection`` keeps."""
    class_ratio: ClassRatio = "uniform"
    """Classes of the synthetic images that the classifier learns from. ``uniform``: all equally
    often; ``inverse``: the rarer a class is among the training images, the more often;
    ``by_error``: in proportion to the error on its training images at the last relabelling (one
    minus the probability of the class). No class gets less than a tenth of an equal share."""
    hard_threshold: float = Field(default=0.3, gt=0, lt=1)
    """Threshold of hard images: share of each class (``quantile``) or probability of the true
    class (``confidence``)."""
    gan_lr: float = Field(default=5e-5, ge=0)
    """Learning rate of the GAN in stage 3; 0 freezes the generator."""
    mode_seeking: float | None = None
    """Weight of the GAN's mode-seeking term in stage 3; null: ``gan.mode_seeking``. Below 0, it
    makes the images of a class alike, which demonstrates a collapse."""
    extra_images: Literal["synthetic", "hard", "pseudo", "none"] = "synthetic"
    """Images added to the real ones of a classifier batch. ``synthetic``: from the GAN. ``hard``:
    hard real images again, all classes equally likely. ``pseudo``: images without labels, strongly
    changed, with the classifier's own names for weak changes of them (FixMatch). ``none``: no extra
    images. Only ``synthetic`` trains a GAN."""
    name_threshold: float = Field(default=0.95, gt=0, le=1)
    """Probability above which the classifier's name for an image without a label is used: by
    ``pseudo``, and by the discriminator after the warm-up, which takes the names of the snapshot
    at its last refresh for labels. 1: never."""
    strong_augmentation: Literal["affine", "randaugment"] = "affine"
    """Strong change of images without labels (``pseudo``), before a square of a quarter of their
    side is blanked; see ``classifier.augmentation``."""
    triplet_weight: float = Field(default=0.5, ge=0)
    """Lambda, the weight of the triplet loss relative to the adversarial one; 0 = plain GAN."""
    margin_unit: MarginUnit = "relative"
    """``relative``: margin in units of s, the median hard-easy distance within a class;
    ``feature``: literal, as on the poster."""
    feature_norm: FeatureNorm = "scale"
    """``scale``: distances in units of s; ``none``: unscaled; ``l2``: on the unit sphere."""
    pairing: Pairing = "assign"
    """``assign``: hard samples matched one to one within a class; ``contrast``: the same, but easy
    samples from all classes, which keeps synthetic images within their class; ``class``: random
    within a class; ``any``: random over all classes."""
    hard_rule: Literal["quantile", "confidence", "misclassified"] = "quantile"
    """Criterion for hard training images."""
    min_hard: int = Field(default=8, ge=1)
    """Minimum number of hard images per class (or 5 %, if more). The maximum is 60 % and takes
    precedence in small classes."""
    refresh: int | Literal["plateau", "never"] = 2
    """Epochs between relabellings of hard and easy images; ``plateau``: after two epochs without
    a better validation metric."""
    ramp_epochs: int = Field(default=5, ge=0)
    """Epochs over which the synthetic ratio grows from 0."""
    ramp_down_epochs: int = Field(default=0, ge=0)
    """Last epochs, over which the synthetic ratio falls again; in the very last it is 0."""
    classifier_lr_factor: float = Field(default=1.0, gt=0)
    """Learning rate of the classifier in stage 3, relative to stage 1."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Label smoothing of the extra images; names of ``pseudo`` are not smoothed."""
    batch_norm: Literal["split", "mixed"] = "split"
    """``split``: extra images have their own forward pass, which does not update the running
    statistics; ``mixed``: one concatenated batch."""
    monitor_images: int = Field(default=1000, ge=20, le=100_000)
    """Number of fixed synthetic images on which agreement, diversity and collapse are measured each
    epoch."""
    monitor_every: int = Field(default=3, ge=1)
    """Epochs between measurements of what nothing is decided by: Vendi score, KID, distance to the
    nearest training image, gradient norms. The first and the last epoch are always measured, all
    other monitors after every epoch."""
    collapse_policy: CollapsePolicy = "continue"
    """Reaction to a collapsed generator: continue as on the poster, return to the last healthy
    generator, freeze it, or end the trial with reason ``collapsed``."""
    unfit_policy: UnfitPolicy = "scale"
    """Reaction to an unfit generator: less than 0.6 of its images agree with their labels.
    ``warn``: only warn; ``scale``: also multiply ``synthetic_ratio`` by the agreement, which did
    the least harm in measurements; ``stop``: end the trial with reason ``generator_unfit``."""
    max_discriminator_gap: float | None = Field(default=None, gt=0)
    """Largest difference between the discriminator's mean logits on training and on validation
    images; above it, the trial ends with reason ``discriminator_overfit``, because the
    discriminator memorises training images (the hinge loss aims at 1 on real and -1 on synthetic
    ones). null: no limit."""

    @property
    def has_gan(self) -> bool:
        """True if there is a GAN to train."""
        return self.extra_images == "synthetic"

    @property
    def kept_name(self) -> str:
        """The metric of the share of extra images that count; empty if all of them do."""
        if self.extra_images == "pseudo":
            return "pseudo/confident_share"
        return "synthetic/kept_share" if self.has_gan and self.selection != "none" else ""

    def ratio(self, epoch: int) -> float:
        """Return the synthetic ratio of an epoch (0-based), with its ramps up and down."""
        up = 1.0 if self.ramp_epochs == 0 else (epoch + 1) / self.ramp_epochs
        left = self.epochs - 1 - epoch
        down = 1.0 if self.ramp_down_epochs == 0 else left / self.ramp_down_epochs
        return self.synthetic_ratio * min(1.0, up, down)

    def is_fully_monitored(self, epoch: int) -> bool:
        """Return whether all monitors are measured after an epoch (0-based)."""
        return epoch in {0, self.epochs - 1} or (epoch + 1) % self.monitor_every == 0

    def is_refresh_due(self, epoch: int, last_change: int) -> bool:
        """Return whether training images are relabelled before an epoch (0-based).

        Args:
            epoch: Epoch of stage 3.
            last_change: Epoch of the last labelling, or of a later better metric.
        """
        if epoch == 0 or self.refresh == "never" or self.extra_images in {"none", "pseudo"}:
            return False
        if self.refresh == "plateau":
            return epoch - last_change >= _PLATEAU
        return epoch % self.refresh == 0

    @model_validator(mode="after")
    def _refresh_is_positive(self) -> "JointTraining":
        if isinstance(self.refresh, int) and self.refresh < 1:
            raise ValueError("expected a whole number >= 1, plateau or never")
        return self
