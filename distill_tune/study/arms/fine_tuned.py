"""A rival that many would choose: a pre-trained network of the same name, fine-tuned."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

FINE_TUNED = Arm(
    name="fine_tuned",
    title="Pre-trained, fine-tuned",
    role="rival",
    changes={"joint.extra_images": "none"},
    unused=REAL_ONLY,
    is_fine_tuned=True,
)
