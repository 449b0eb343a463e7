"""The poster's GAN augmentation: as many synthetic images, from a GAN without the triplet loss."""

from distill_tune.arms.arm import HARD_FIELDS, Arm

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
        *HARD_FIELDS,
    ),
    own_space={
        "joint.synthetic_ratio": "uniform(0, 2)",
        "joint.gan_lr": {"type": "loguniform", "min": 1e-6, "max": 2e-4, "or_zero": 0.1},
    },
)
