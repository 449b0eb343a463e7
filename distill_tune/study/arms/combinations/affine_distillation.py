"""The method with additional affine changes of real and synthetic images."""

from distill_tune.study.arms.affine import AFFINE, AFFINE_CHANGES
from distill_tune.study.arms.arm import Arm

AFFINE_DISTILLATION = Arm(
    name="affine_distillation",
    title="Distillation + affine changes",
    role="combination",
    changes=AFFINE_CHANGES,
    control=AFFINE.name,
)
