"""Index of the arms, in table order: each arm is one file here and one line below."""

from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.baseline import BASELINE
from distill_tune.study.arms.collapsed import COLLAPSED
from distill_tune.study.arms.equal_steps import EQUAL_STEPS
from distill_tune.study.arms.gan_augmentation import GAN_AUGMENTATION
from distill_tune.study.arms.gan_distillation import GAN_DISTILLATION
from distill_tune.study.arms.hard_oversampling import HARD_OVERSAMPLING
from distill_tune.study.arms.strong_augmentation import STRONG_AUGMENTATION
from distill_tune.study.arms.strong_distillation import STRONG_DISTILLATION

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        BASELINE,
        EQUAL_STEPS,
        STRONG_AUGMENTATION,
        HARD_OVERSAMPLING,
        GAN_AUGMENTATION,
        GAN_DISTILLATION,
        STRONG_DISTILLATION,
    )
}

METHOD = GAN_DISTILLATION.name
"""The arm that the others are compared with."""

__all__ = ["ARMS", "COLLAPSED", "METHOD", "Arm"]
