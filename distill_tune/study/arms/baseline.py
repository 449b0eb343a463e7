"""The poster's baseline: the classifier after stage 1."""

from distill_tune.study.arms.arm import Arm

BASELINE = Arm(
    name="baseline",
    title="Baseline",
    words="stage 1 alone",
    role="baseline",
    changes={"joint.extra_images": "none"},
    unused=("gan.", "joint."),
    is_stage_one_only=True,
)
