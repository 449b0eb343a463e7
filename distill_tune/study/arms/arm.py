"""An arm: a change of a trial's configuration, and the fields that affect it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import plain
from distill_tune.study.dimensions import Dimension
from distill_tune.study.space import apply

_FINE_TUNING_LR = 0.1
"""Learning rate of fine-tuning relative to that of a training from scratch."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train a classifier, compared with the others on the same seeds.

    Attributes:
        name: Name, such as ``gan_augmentation``.
        title: Name in tables.
        words: Name in a sentence; empty: the title.
        role: ``method`` is what should help, ``baseline`` what it should improve on, ``rival`` an
            alternative to it, ``combination`` the method with an addition, and ``demonstration``
            the method made to fail.
        changes: Dotted path of a trial -> the arm's own value.
        control: For a combination, the arm that has its addition without the method.
        unused: Fields, or sections that end in a dot, that do not affect the arm.
        needs_unlabelled: Whether the arm learns from images without labels.
        is_stage_one_only: Whether the arm ends with the classifier's first training.
        is_fine_tuned: Whether the arm starts from pre-trained weights and trains all of them.
    """

    name: str
    title: str
    role: str
    changes: Mapping[str, object] = field(default_factory=dict)
    control: str = ""
    words: str = ""
    unused: tuple[str, ...] = ()
    needs_unlabelled: bool = False
    is_stage_one_only: bool = False
    is_fine_tuned: bool = False

    def config(self, method: TrialConfig, weights: str | None = None) -> TrialConfig:
        """Return the arm's configuration, derived from that of the method.

        Args:
            method: The method's.
            weights: Pre-trained weights for an arm that is fine-tuned; None: the backbone's, or
                those that torchvision or timm has for it. If the method starts from random weights,
                the arm's learning rate is a tenth.
        """
        config = TrialConfig.model_validate(apply(plain(method), self.changes))
        if not self.is_fine_tuned:
            return config
        backbone = config.backbone.fine_tuned(weights)
        factor = 1.0 if config.backbone.is_pretrained else _FINE_TUNING_LR
        classifier = config.classifier.model_copy(update={"lr": config.classifier.lr * factor})
        return config.model_copy(update={"backbone": backbone, "classifier": classifier})

    @property
    def phrase(self) -> str:
        """Name of the arm within a sentence."""
        is_acronym = self.title[:2].isupper()
        return self.words or (self.title if is_acronym else self.title[0].lower() + self.title[1:])

    def dimensions(self, searched: Mapping[str, Dimension]) -> dict[str, Dimension]:
        """Return the dimensions of the arm's own search: those of the method that affect the arm.

        The ranges are the method's, and nothing else is searched, so that all arms are treated
        alike. Dimensions that do not affect the arm or that it fixes are left out.

        Args:
            searched: The study's dimensions.
        """
        return {path: dim for path, dim in searched.items() if self._uses(path)}

    def _uses(self, path: str) -> bool:
        return path not in self.changes and not _is_below(path, self.unused)


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path == place or (place[-1] == "." and path.startswith(place)) for place in places)


GAN_FIELDS = (
    "gan.",
    "joint.gan_lr",
    "joint.mode_seeking",
    "joint.margin",
    "joint.margin_unit",
    "joint.feature_norm",
    "joint.pairing",
    "joint.triplet_weight",
    "joint.collapse_policy",
    "joint.max_discriminator_gap",
    "joint.selection",
    "joint.candidates",
    "joint.class_ratio",
    "joint.unfit_policy",
)
"""Fields that matter only with a GAN."""

EXTRA_FIELDS = (
    "joint.synthetic_ratio",
    "joint.ramp_epochs",
    "joint.ramp_down_epochs",
    "joint.label_smoothing",
    "joint.batch_norm",
)
"""Fields that matter only with extra images."""

UNLABELLED_FIELDS = ("joint.name_threshold", "joint.strong_augmentation")
"""Fields that matter only with images without labels."""

HARD_FIELDS = ("joint.hard_threshold", "joint.hard_rule", "joint.min_hard", "joint.refresh")
"""Fields that matter only if hard images are used."""

REAL_ONLY = GAN_FIELDS + EXTRA_FIELDS + HARD_FIELDS + UNLABELLED_FIELDS
"""Fields that do not matter if only the labelled images are learnt from."""
