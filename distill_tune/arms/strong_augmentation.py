"""No GAN but strong augmentation: affine changes, label smoothing and CutMix."""

from distill_tune.arms.arm import EXTRA_FIELDS, GAN_FIELDS, HARD_FIELDS, Arm

STRONG = {
    "classifier.augmentation": "affine",
    "classifier.label_smoothing": 0.1,
    "classifier.cutmix": 0.5,
}

STRONG_AUGMENTATION = Arm(
    name="strong_augmentation",
    title="Strong augmentation",
    role="rival",
    changes={"joint.extra_images": "none", **STRONG},
    unused=GAN_FIELDS + EXTRA_FIELDS + HARD_FIELDS,
    own_space={
        "joint.classifier_lr_factor": "loguniform(0.03, 1)",
        "classifier.augmentation": ["affine", "randaugment", "shift"],
        "classifier.label_smoothing": "uniform(0, 0.2)",
        "classifier.cutmix": "uniform(0, 1)",
    },
)
