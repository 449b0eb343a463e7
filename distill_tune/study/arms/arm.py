"""What an arm is: a change of a trial's configuration, and what of it makes a difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import plain
from distill_tune.study.dimensions import Dimension
from distill_tune.study.space import apply


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train a classifier, to be compared with the others on the same seeds.

    Attributes:
        name: Such as ``gan_augmentation``.
        title: What tables call it.
        role: ``method`` is what is to be shown to help, ``baseline`` what it is to improve on,
            ``rival`` what else might have; ``combination`` is the method with something more,
            ``demonstration`` the method made to fail.
        changes: Dotted path of a trial -> the arm's own value: what makes it this arm.
        unused: Fields, or rooms that end in a dot, that make no difference to the arm.
        is_stage_one_only: Whether it ends with the classifier's first training.
    """

    name: str
    title: str
    role: str
    changes: Mapping[str, object] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    is_stage_one_only: bool = False

    def config(self, method: TrialConfig) -> TrialConfig:
        """Return the arm's configuration beside that of the method."""
        return TrialConfig.model_validate(apply(plain(method), self.changes))

    def dimensions(self, searched: Mapping[str, Dimension]) -> dict[str, Dimension]:
        """Return what the arm's own search searches: all that the method's did, where it matters.

        An arm gets the method's dimensions, each with the method's range, and no other: what is
        searched for one arm is searched for all. Left out are those that make no difference to it
        and those that it fixes.

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
    "joint.margin",
    "joint.margin_unit",
    "joint.feature_norm",
    "joint.pairing",
    "joint.triplet_weight",
    "joint.collapse_policy",
    "joint.max_discriminator_gap",
    "joint.selection",
    "joint.candidates",
    "joint.unfit_policy",
)
"""What makes a difference only where there is a GAN."""

EXTRA_FIELDS = (
    "joint.synthetic_ratio",
    "joint.ramp_epochs",
    "joint.label_smoothing",
    "joint.batch_norm",
)
"""What makes a difference only where there are extra images."""

HARD_FIELDS = ("joint.hard_threshold", "joint.hard_rule", "joint.min_hard", "joint.refresh")
"""What makes a difference only where hard images do."""
