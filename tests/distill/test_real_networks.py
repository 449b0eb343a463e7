"""The same promises with networks of their real size: dropout, batch norm, 20 million weights."""

import copy
from typing import Any

import pytest
import torch

from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.evaluation import evaluating
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from tests.distill.tiny import differences, packed, run_until, trial, unpacked

SHORT: dict[str, Any] = {
    "classifier": {"epochs": 2, "batch_size": 80, "lr": 1e-3},
    "gan": {"warmup_steps": 1, "triplet_steps": 2},
    "joint": {"epochs": 2},
}
ALEXNET: dict[str, Any] = {**SHORT, "backbone": {"name": "alexnet"}}
DENSENET: dict[str, Any] = {**SHORT, "backbone": {"name": "densenet121"}}


def assert_gan_steps_leave_it_alone(running: Trial) -> None:
    before = {
        "F": copy_weights(running.state.classifier),
        "Fs": copy_weights(running.state.snapshot),
    }
    for _ in range(2):
        running.trainer.step(lr=1e-3, triplet_weight=1.0)
    assert differences(before["F"], copy_weights(running.state.classifier)) == []
    assert differences(before["Fs"], copy_weights(running.state.snapshot)) == []
    assert running.state.classifier.training
    assert not any(module.training for module in running.state.snapshot.modules())


@pytest.mark.storm
def test_alexnet_with_its_dropout_resumes_bit_for_bit(digits: ImageData) -> None:
    whole = trial(digits, **ALEXNET)
    ends, states = [], {}
    for report in whole.run():
        ends.append((report.stage, report.step, report.metrics))
        if report.step == 1:
            states[report.stage] = packed(whole.state_dict())
    for stage in ("classifier", "triplet", "joint"):
        resumed = trial(digits, **ALEXNET)
        resumed.load_state_dict(unpacked(states[stage]))
        start = [end[:2] for end in ends].index((stage, 1))
        rest = [(report.stage, report.step, report.metrics) for report in resumed.run()]
        assert rest == ends[start + 1 :]
        assert differences(resumed.state_dict(), whole.state_dict()) == []


@pytest.mark.slow
@pytest.mark.parametrize("changes", [ALEXNET, DENSENET], ids=["alexnet", "densenet121"])
def test_a_gan_step_leaves_a_real_classifier_alone(
    digits: ImageData, changes: dict[str, Any]
) -> None:
    running = run_until(trial(digits, **changes), "triplet")
    running.state.classifier.train()
    assert_gan_steps_leave_it_alone(running)


def test_densenet_features_depend_on_the_mode_which_is_why_the_snapshot_is_in_eval_mode(
    digits: ImageData,
) -> None:
    running = trial(digits, **DENSENET)
    latent = running.trainer.latent("z", 8, 0)
    images = running.trainer.synthesise(latent)
    snapshot = running.state.snapshot
    noisy = copy.deepcopy(snapshot).train()
    with torch.no_grad(), evaluating(snapshot):
        alone, together = snapshot.features(images[:2]), snapshot.features(images)[:2]
        assert torch.allclose(alone, together, atol=1e-5)
        assert not torch.allclose(noisy.features(images[:2]), noisy.features(images)[:2], atol=1e-2)
