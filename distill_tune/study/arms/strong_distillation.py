"""The method with strong augmentation of real and synthetic images on top."""

from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.strong_augmentation import STRONG

STRONG_DISTILLATION = Arm(
    name="strong_distillation",
    title="Distillation + strong augmentation",
    role="combination",
    changes=STRONG,
)
