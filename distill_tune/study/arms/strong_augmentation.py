"""Strong augmentation without a GAN: small affine changes and label smoothing."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

STRONG = {"classifier.augmentation": "affine", "classifier.label_smoothing": 0.1}

STRONG_AUGMENTATION = Arm(
    name="strong_augmentation",
    title="Strong augmentation",
    role="rival",
    changes={"joint.extra_images": "none", **STRONG},
    unused=REAL_ONLY,
)
