"""The method with class-balanced batches of real images."""

from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.balanced_sampling import BALANCED, BALANCED_SAMPLING

BALANCED_DISTILLATION = Arm(
    name="balanced_distillation",
    title="Distillation + balanced sampling",
    role="combination",
    changes=BALANCED,
    control=BALANCED_SAMPLING.name,
)
