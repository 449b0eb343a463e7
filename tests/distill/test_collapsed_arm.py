"""The arm for the figure of a collapse: its generator does collapse."""

import pytest

from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import COLLAPSE_RATIO, ImageData, plain
from distill_tune.study.arms import ARMS, COLLAPSED, METHOD, Arm
from distill_tune.study.space import apply
from distill_tune.training.stages import STAGES, ComputePlace, stage_key
from tests.distill.tiny import CPU, config

SETTING = {
    "classifier": {"batch_size": 20, "epochs": 6},
    "gan": {"warmup_steps": 60, "class_ramp_steps": 0},
    "joint": {"epochs": 10, "monitor_every": 10},
}


def diversities(arm: Arm, method: TrialConfig, images: ImageData) -> list[float]:
    """Return the diversity after each epoch of stage 3."""
    name = "synthetic/diversity"
    reports = [one.metrics for one in Trial(arm.config(method), images, CPU).run()]
    return [one[name] for one in reports if name in one]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_its_images_become_alike_while_the_methods_stay_different(
    digits: ImageData, seed: int
) -> None:
    method = config(**SETTING, seed=seed)
    kept, fallen = (diversities(arm, method, digits) for arm in (ARMS[METHOD], COLLAPSED))
    assert fallen[0] > 2 * COLLAPSE_RATIO
    assert max(fallen[-2:]) < COLLAPSE_RATIO
    assert min(kept) > 2 * COLLAPSE_RATIO


def test_it_starts_from_the_same_generator_as_the_method() -> None:
    method = config(**SETTING)
    place = ComputePlace("cpu", 1)
    tuned = apply(plain(method), {"joint.selection": "hard", "joint.gan_lr": 0.0})
    for of in (method, TrialConfig.model_validate(tuned)):
        keys = [
            [stage_key(stage, arm.config(of), "digest", place) for stage in STAGES]
            for arm in (ARMS[METHOD], COLLAPSED)
        ]
        assert keys[0] == keys[1]
