"""Affine changes and class-balanced batches of real images without a GAN; as many steps."""

from distill_tune.study.arms.affine import AFFINE_CHANGES
from distill_tune.study.arms.arm import REAL_ONLY, Arm
from distill_tune.study.arms.balanced_sampling import BALANCED

AFFINE_BALANCED = Arm(
    name="affine_balanced",
    title="Affine, balanced",
    words="affine changes with balanced sampling",
    role="rival",
    changes={"joint.extra_images": "none", **AFFINE_CHANGES, **BALANCED},
    unused=REAL_ONLY,
)
