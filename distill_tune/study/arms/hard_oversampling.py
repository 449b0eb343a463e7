"""No GAN: the hard real images once more, where the method has synthetic ones."""

from distill_tune.study.arms.arm import GAN_FIELDS, Arm

HARD_OVERSAMPLING = Arm(
    name="hard_oversampling",
    title="Hard oversampling",
    role="rival",
    # Their labels are certain: smoothing them is a remedy for synthetic images.
    changes={"joint.extra_images": "hard", "joint.label_smoothing": 0.0},
    unused=GAN_FIELDS,
)
