"""The poster's GAN augmentation: as many synthetic images, from a GAN without the triplet loss."""

from distill_tune.study.arms.arm import Arm

TRIPLET_FIELDS = (
    "gan.triplet_margin",
    "gan.triplet_threshold",
    "joint.margin",
    "joint.margin_unit",
    "joint.feature_norm",
    "joint.pairing",
    # "joint.refresh" is not one of them: the snapshot that it renews also selects images.
    "joint.hard_threshold",
    "joint.hard_rule",
    "joint.min_hard",
    # Of no use to any arm with a GAN.
    "joint.strong_augmentation",
)
"""Fields that do not matter to a GAN without the triplet loss."""

GAN_AUGMENTATION = Arm(
    name="gan_augmentation",
    title="GAN augmentation",
    role="rival",
    # The GAN takes as many steps as the method's, all with lambda 0; also if the method has none.
    changes={"joint.extra_images": "synthetic", "joint.triplet_weight": 0.0},
    unused=TRIPLET_FIELDS,
)
