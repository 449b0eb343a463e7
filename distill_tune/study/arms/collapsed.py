"""A demonstration, not a rival: the method with a generator that is made to collapse."""

from distill_tune.study.arms.arm import Arm

COLLAPSED = Arm(
    name="collapsed",
    title="Made to collapse: mode-seeking term reversed",
    role="demonstration",
    changes={
        # Reversed: images of a class are rewarded for being alike, more than for being realistic.
        "joint.mode_seeking": -10.0,
        # That of a warm-up on small images: in a hundred steps, the generator must change a lot.
        "joint.gan_lr": 1e-3,
        # The classifier shall learn from whatever the generator yields.
        "joint.selection": "none",
        "joint.collapse_policy": "continue",
        "joint.unfit_policy": "warn",
        "joint.max_discriminator_gap": None,
    },
)
"""The method in all else, so that both share stages 1 and 2 and start from the same generator.

The triplet loss alone takes too long: on 100 digits, with random pairs within a class, a single
hard image of each class and a weight of 1,000, diversity was 0.8 after 100 steps and 0.5 after 400.
"""
