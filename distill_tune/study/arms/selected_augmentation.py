"""GAN augmentation with the hardest synthetic images that agree with their classes."""

from distill_tune.study.arms.arm import Arm
from distill_tune.study.arms.gan_augmentation import GAN_AUGMENTATION, TRIPLET_FIELDS

SELECTED_AUGMENTATION = Arm(
    name="selected_augmentation",
    title="GAN augmentation, selected",
    role="rival",
    # The selection alone, without a GAN that has learnt to make hard images.
    changes={**GAN_AUGMENTATION.changes, "joint.selection": "hard"},
    unused=TRIPLET_FIELDS,
)
