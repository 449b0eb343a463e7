"""The method with additional strong augmentation of real and synthetic images."""

from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.strong_augmentation import STRONG, STRONG_AUGMENTATION

STRONG_DISTILLATION = Arm(
    name="strong_distillation",
    title="Distillation + strong augmentation",
    role="combination",
    changes=STRONG,
    control=STRONG_AUGMENTATION.name,
)
