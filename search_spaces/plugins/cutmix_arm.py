"""An arm of one's own: CutMix without a GAN, with as many steps as the method."""

from distill_tune.study.arms.arm import REAL_ONLY, Arm

CUTMIX = Arm(
    name="cutmix",
    title="CutMix",
    role="rival",
    changes={"joint.extra_images": "none", "classifier.cutmix": 0.5},
    unused=REAL_ONLY,
)

ARMS = {"cutmix": CUTMIX}
