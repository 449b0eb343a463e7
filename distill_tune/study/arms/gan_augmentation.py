"""The poster's GAN augmentation: as many synthetic images, from a GAN without the triplet loss."""

from distill_tune.study.arms.arm import Arm

GAN_AUGMENTATION = Arm(
    name="gan_augmentation",
    title="GAN augmentation",
    role="rival",
    # As many steps of the GAN as the method's, in all of which lambda is 0.
    changes={"joint.triplet_weight": 0.0},
    unused=(
        "joint.margin",
        "joint.margin_unit",
        "joint.feature_norm",
        "joint.pairing",
        # Not "joint.refresh": the snapshot that it renews selects images, too.
        "joint.hard_threshold",
        "joint.hard_rule",
        "joint.min_hard",
    ),
)
