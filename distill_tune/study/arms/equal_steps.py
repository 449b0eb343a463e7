"""A baseline trained as long as the method: as many steps, on real images only."""

from distill_tune.study.arms.arm import EXTRA_FIELDS, GAN_FIELDS, HARD_FIELDS, Arm

EQUAL_STEPS = Arm(
    name="equal_steps",
    title="Baseline, equal steps",
    role="baseline",
    changes={"joint.extra_images": "none"},
    unused=GAN_FIELDS + EXTRA_FIELDS + HARD_FIELDS,
)
