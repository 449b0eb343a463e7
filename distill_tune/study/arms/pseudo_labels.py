"""Images without labels, used without a GAN: FixMatch's rule; as many steps."""

from distill_tune.study.arms.arm import GAN_FIELDS, HARD_FIELDS, Arm

PSEUDO_LABELS = Arm(
    name="pseudo_labels",
    title="Pseudo-labels",
    role="rival",
    changes={"joint.extra_images": "pseudo"},
    # "joint.label_smoothing" and "joint.refresh": names are not smoothed and are always new.
    unused=(*GAN_FIELDS, *HARD_FIELDS, "joint.label_smoothing"),
    needs_unlabelled=True,
)
