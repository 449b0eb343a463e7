"""A demonstration, not a rival: the method with a generator that is made to collapse."""

from distill_tune.study.arms.arm import Arm

COLLAPSED = Arm(
    name="collapsed",
    title="GAN distillation, made to collapse",
    role="demonstration",
    changes={
        "gan.mode_seeking": 0.0,
        "joint.hard_rule": "misclassified",
        "joint.pairing": "any",
        "joint.feature_norm": "none",
        "joint.batch_norm": "mixed",
        "joint.margin_unit": "feature",
        "joint.selection": "none",
        # Larger than any distance: the hinge is always active.
        "joint.margin": 1000.0,
        # Large enough to outweigh the discriminator.
        "joint.triplet_weight": 100.0,
        "joint.gan_lr": 2e-4,
        "joint.collapse_policy": "continue",
        "joint.unfit_policy": "warn",
        "joint.max_discriminator_gap": None,
    },
)
"""The poster's literal settings (preset ``poster_literal``) with a margin above every bound."""
