"""The method with strong augmentation of real and synthetic images on top."""

from distill_tune.arms.arm import Arm
from distill_tune.arms.strong_augmentation import STRONG

STRONG_DISTILLATION = Arm(
    name="strong_distillation",
    title="Distillation + strong augmentation",
    role="combination",
    changes=STRONG,
)
