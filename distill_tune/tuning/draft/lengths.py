"""Lengths of a search, and how long trials of other lengths than the measured one take."""

from typing import NamedTuple

from distill_tune.tuning.dry_run.forecast import TrialCost


class Lengths(NamedTuple):
    """Amount of training in a search.

    Attributes:
        train_per_class: Training images of each class.
        classifier_epochs: Epochs of stage 1.
        warmup_steps: Largest number of warm-up steps.
        triplet_steps: Triplet steps of every trial.
        joint_epochs: Epochs of stage 3.
        num_trials: Trials of each backbone.
    """

    train_per_class: int
    classifier_epochs: int
    warmup_steps: int
    triplet_steps: int
    joint_epochs: int
    num_trials: int


LADDER = (
    Lengths(500, 60, 10_000, 1_000, 30, 32),  # search_spaces/cifar10
    Lengths(250, 40, 6_000, 500, 30, 24),
    Lengths(100, 30, 3_000, 300, 20, 16),
    Lengths(50, 20, 2_500, 200, 15, 16),
    Lengths(40, 16, 2_000, 150, 12, 12),
    Lengths(20, 12, 1_500, 150, 10, 12),  # search_spaces/resnet.yaml
    Lengths(20, 12, 1_500, 100, 6, 8),
    Lengths(10, 12, 1_000, 60, 6, 6),
    Lengths(10, 8, 1_000, 40, 4, 4),
)
"""From the longest to the shortest."""
USUAL = LADDER[5]
"""Smaller images are preferred to lengths below this."""


def scaled(cost: TrialCost, measured: Lengths, lengths: Lengths, images: float) -> TrialCost:
    """Return the cost of a trial with other lengths than the measured ones.

    Every stage grows with its steps, and ``images`` times as many training images need as many.
    """
    factors = {
        "classifier": images * lengths.classifier_epochs / measured.classifier_epochs,
        "warmup": lengths.warmup_steps / measured.warmup_steps,
        "triplet": lengths.triplet_steps / measured.triplet_steps,
        "joint": images * lengths.joint_epochs / measured.joint_epochs,
    }
    stages_s = {stage: factors.get(stage, 1) * s for stage, s in cost.stages_s.items()}
    return cost._replace(stages_s=stages_s)
