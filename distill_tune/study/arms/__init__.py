"""Index of the arms, in table order: each arm is one file here and one line below."""

from distill_tune.plugins import parts
from distill_tune.study.arms.affine import AFFINE
from distill_tune.study.arms.affine_balanced import AFFINE_BALANCED
from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.balanced_sampling import BALANCED_SAMPLING
from distill_tune.study.arms.baseline import BASELINE
from distill_tune.study.arms.collapsed import COLLAPSED
from distill_tune.study.arms.combinations.affine_balanced_distillation import (
    AFFINE_BALANCED_DISTILLATION,
)
from distill_tune.study.arms.combinations.affine_distillation import AFFINE_DISTILLATION
from distill_tune.study.arms.combinations.balanced_distillation import BALANCED_DISTILLATION
from distill_tune.study.arms.combinations.strong_distillation import STRONG_DISTILLATION
from distill_tune.study.arms.equal_steps import EQUAL_STEPS
from distill_tune.study.arms.fine_tuned import FINE_TUNED
from distill_tune.study.arms.gan_augmentation import GAN_AUGMENTATION
from distill_tune.study.arms.gan_distillation import GAN_DISTILLATION
from distill_tune.study.arms.hard_oversampling import HARD_OVERSAMPLING
from distill_tune.study.arms.pseudo_labels import PSEUDO_LABELS
from distill_tune.study.arms.selected_augmentation import SELECTED_AUGMENTATION
from distill_tune.study.arms.strong_augmentation import STRONG_AUGMENTATION

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        BASELINE,
        EQUAL_STEPS,
        AFFINE,
        STRONG_AUGMENTATION,
        BALANCED_SAMPLING,
        AFFINE_BALANCED,
        FINE_TUNED,
        HARD_OVERSAMPLING,
        PSEUDO_LABELS,
        GAN_AUGMENTATION,
        SELECTED_AUGMENTATION,
        GAN_DISTILLATION,
        STRONG_DISTILLATION,
        AFFINE_DISTILLATION,
        BALANCED_DISTILLATION,
        AFFINE_BALANCED_DISTILLATION,
    )
}


def known_arms() -> dict[str, Arm]:
    """Return the arms of the index, and those of the plugins in use."""
    return ARMS | parts("arms", Arm, ARMS)


METHOD = GAN_DISTILLATION.name
"""The arm that the others are compared with."""

__all__ = ["ARMS", "COLLAPSED", "METHOD", "Arm", "known_arms"]
