"""What an arm calls unused changes nothing of it, in no bit; what it is tuned by does."""

from typing import Any

import pytest

from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, plain
from distill_tune.study.arms import ARMS
from distill_tune.study.space import apply
from tests.distill.tiny import CPU, config

CHANGED: dict[str, Any] = {
    "joint.margin": 0.8,
    "joint.synthetic_ratio": 1.5,
    "joint.class_ratio": "inverse",
    "joint.hard_threshold": 0.58,
    "joint.gan_lr": 1e-3,
    "joint.pairing": "contrast",
    "joint.min_hard": 3,
    "joint.ramp_epochs": 0,
    "joint.ramp_down_epochs": 2,
    "joint.classifier_lr_factor": 0.9,
    "joint.name_threshold": 0.3,
    "joint.strong_augmentation": "randaugment",
    "classifier.weight_decay": 0.1,
}
NAMING = {"joint.name_threshold": 0.2}
"""A classifier of three epochs is never surer than 0.95."""
CONTROLS = [name for name, arm in ARMS.items() if arm.role == "rival" or name == "equal_steps"]


def losses(arm: str, images: ImageData, **changes: Any) -> list[float]:
    """Return the classifier's losses in every epoch of stage 3, in training and validation."""
    base = plain(ARMS[arm].config(config()))
    whole = TrialConfig.model_validate(apply(base, {**NAMING, **changes}))
    reports = [report.metrics for report in Trial(whole, images, CPU).run()]
    names = ("loss/classifier", "val/loss")
    return [one[name] for one in reports if "val/best_accuracy" in one for name in names]


@pytest.mark.parametrize("arm", CONTROLS)
def test_a_field_makes_a_difference_where_the_arm_is_tuned_by_it(
    arm: str, partly_labelled: ImageData
) -> None:
    used = ARMS[arm].dimensions(dict.fromkeys(CHANGED))  # type: ignore[arg-type]
    unused = {path: value for path, value in CHANGED.items() if path not in used}
    assert unused
    before = losses(arm, partly_labelled)
    assert losses(arm, partly_labelled, **unused) == before
    for path in used:
        assert losses(arm, partly_labelled, **{path: CHANGED[path]}) != before, path
