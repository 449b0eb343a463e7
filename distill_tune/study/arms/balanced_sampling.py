"""Class-balanced batches of real images without a GAN, in all stages; as many steps."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

BALANCED = {"classifier.sampling": "balanced"}

BALANCED_SAMPLING = Arm(
    name="balanced_sampling",
    title="Balanced sampling",
    role="rival",
    changes={"joint.extra_images": "none", **BALANCED},
    unused=REAL_ONLY,
)
