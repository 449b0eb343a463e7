"""Small affine changes without a GAN: as many steps, on real images only."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

AFFINE_CHANGES = {"classifier.augmentation": "affine"}

AFFINE = Arm(
    name="affine",
    title="Affine changes",
    role="rival",
    changes={"joint.extra_images": "none", **AFFINE_CHANGES},
    unused=REAL_ONLY,
)
