"""The method with strong augmentation of real and synthetic images on top."""

from distill_tune.arms.arm import Arm
from distill_tune.arms.strong_augmentation import STRONG

STRONG_DISTILLATION = Arm(
    name="strong_distillation",
    title="Distillation + strong augmentation",
    role="combination",
    changes=STRONG,
    own_space={
        "classifier.augmentation": ["affine", "randaugment", "shift"],
        "classifier.label_smoothing": "uniform(0, 0.2)",
        "classifier.cutmix": "uniform(0, 1)",
    },
)
