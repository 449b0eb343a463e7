"""A baseline trained as long as the method: as many steps, on real images only."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

EQUAL_STEPS = Arm(
    name="equal_steps",
    title="Baseline, equal steps",
    words="equal steps without a GAN",
    role="baseline",
    changes={"joint.extra_images": "none"},
    unused=REAL_ONLY,
)
