"""Oversampling without a GAN: hard real images in place of the method's synthetic ones."""

from distill_tune.study.arms.arm import GAN_FIELDS, UNLABELLED_FIELDS, Arm

HARD_OVERSAMPLING = Arm(
    name="hard_oversampling",
    title="Hard oversampling",
    role="rival",
    # Their labels are certain; smoothing is meant for synthetic images.
    changes={"joint.extra_images": "hard", "joint.label_smoothing": 0.0},
    unused=GAN_FIELDS + UNLABELLED_FIELDS,
)
