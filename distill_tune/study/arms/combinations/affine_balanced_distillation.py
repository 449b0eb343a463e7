"""The method with affine changes and class-balanced batches of real images."""

from distill_tune.study.arms.affine import AFFINE_CHANGES
from distill_tune.study.arms.affine_balanced import AFFINE_BALANCED
from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.balanced_sampling import BALANCED

AFFINE_BALANCED_DISTILLATION = Arm(
    name="affine_balanced_distillation",
    title="Distillation + affine, balanced",
    role="combination",
    changes={**AFFINE_CHANGES, **BALANCED},
    control=AFFINE_BALANCED.name,
)
