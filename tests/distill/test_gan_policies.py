"""What happens when the generator collapses or a number is none: each policy, each reason."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring import gan_policies
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData, Metrics
from tests.distill.conftest import Begin
from tests.distill.tiny import differences, networks, packed, reports_of, trial, unpacked

HEALTHY, COLLAPSED = 1.0, 0.1


class Script:
    """Stands in for the monitors: says what diversity each epoch has."""

    def __init__(self, *diversities: float) -> None:
        self.diversities = list(diversities)

    def __call__(self, *_: object, is_full: bool) -> Metrics:  # noqa: ARG002
        return {"diversity": self.diversities.pop(0), "rank_ratio": 1.0, "pixel_diversity": 1.0}


def scripted(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch, policy: str, *diversities: float
) -> Trial:
    monkeypatch.setattr(gan_policies, "measure", Script(*diversities))
    return at_joint(joint={"collapse_policy": policy, "epochs": len(diversities)})


def averaged(running: Trial) -> dict[str, Any]:
    return copy_weights(running.state.gan.ema)


def poison(network: nn.Module) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)


def test_continue_goes_on_as_if_nothing_had_happened(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for diversity in (HEALTHY, COLLAPSED):
        running = scripted(at_joint, monkeypatch, "continue", diversity, diversity)
        reports = list(running.run())
        ends.append(packed(running.state_dict()))
        is_collapse = diversity == COLLAPSED
        assert [r.metrics["synthetic/collapsed"] for r in reports] == [float(is_collapse)] * 2
        assert [r.metrics["synthetic/warning"] for r in reports] == [float(is_collapse)] * 2
    assert differences(unpacked(ends[0]), unpacked(ends[1])) == []


def test_stop_ends_the_trial_with_its_reason(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = scripted(at_joint, monkeypatch, "stop", HEALTHY, COLLAPSED, HEALTHY)
    reports = running.run()
    assert next(reports).step == 1
    with pytest.raises(DivergedError, match="in joint epoch 2") as caught:
        next(reports)
    assert caught.value.reason == "collapsed"


def test_freeze_trains_the_classifier_on_without_the_gan(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = scripted(at_joint, monkeypatch, "freeze", HEALTHY, COLLAPSED, HEALTHY, HEALTHY)
    reports = running.run()
    next(reports)
    assert "loss/generator" in next(reports).metrics
    assert running.state.is_frozen
    before = packed(networks(running))
    classifier = copy_weights(running.state.classifier)
    assert "loss/generator" not in next(reports).metrics
    assert differences(unpacked(before), networks(running)) == []
    assert differences(classifier, copy_weights(running.state.classifier)) != []


def test_rollback_returns_to_the_last_healthy_average(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = scripted(at_joint, monkeypatch, "rollback", HEALTHY, COLLAPSED, HEALTHY)
    reports = running.run()
    next(reports)
    healthy = averaged(running)
    steps, measured = running.state.gan.step, running.state.gan.fidelity[-1]
    next(reports)
    assert running.state.gan.step > steps
    # The generator that came back is measured too: it is the one that is judged from now on.
    assert running.state.gan.fidelity[-1][1:] == measured[1:]
    assert running.state.gan.fidelity[-2][1:] != measured[1:]
    assert differences(averaged(running), healthy) == []
    generator = copy_weights(running.state.gan.generator)
    assert differences(generator, copy_weights(running.state.gan.ema.module)) == []
    next(reports)
    assert differences(averaged(running), healthy) != []
    assert differences(running.state.healthy, averaged(running)) == []


def test_rollback_without_a_healthy_epoch_goes_on(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = scripted(at_joint, monkeypatch, "rollback", COLLAPSED, COLLAPSED)
    assert len(list(running.run())) == 2
    assert running.state.healthy == {}


def test_what_a_policy_remembers_survives_a_checkpoint(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = scripted(at_joint, monkeypatch, "rollback", HEALTHY, COLLAPSED)
    next(running.run())
    resumed = at_joint(joint={"collapse_policy": "rollback", "epochs": 2})
    resumed.load_state_dict(unpacked(packed(running.state_dict())))
    assert differences(resumed.state.healthy, averaged(running)) == []
    next(resumed.run())
    assert differences(averaged(resumed), averaged(running)) == []


def test_a_generator_that_draws_one_image_is_seen_and_stopped(at_joint: Begin) -> None:
    running = at_joint(joint={"collapse_policy": "stop", "gan_lr": 0.0})
    with torch.no_grad():
        running.state.gan.ema.module.get_parameter("to_image.weight").zero_()
    with pytest.raises(DivergedError, match="collapsed"):
        next(running.run())


def until_it_fails(running: Trial) -> tuple[list[Report], DivergedError]:
    reports: list[Report] = []
    with pytest.raises(DivergedError) as caught:
        reports.extend(running.run())
    return reports, caught.value


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_gan_that_is_no_number_ends_the_warm_up_by_name(digits: ImageData, network: str) -> None:
    running = trial(digits)
    poison(getattr(running.state.gan, network))
    reports, error = until_it_fails(running)
    assert {report.stage for report in reports} == {"classifier"}
    assert error.reason == "diverged"
    assert str(error) == "diverged: a loss of the GAN is not finite in warmup step 1"


@pytest.mark.parametrize("pairing", ["assign", "contrast", "class", "any"])
def test_a_gan_that_is_no_number_ends_the_triplet_stage_by_name(
    digits: ImageData, pairing: str
) -> None:
    running = trial(digits, joint={"pairing": pairing})
    list(reports_of(running.run(), "warmup"))
    poison(running.state.gan.generator)
    assert str(until_it_fails(running)[1]).endswith("not finite in triplet step 1")


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_gan_that_is_no_number_ends_stage_three_by_name(at_joint: Begin, ratio: float) -> None:
    running = at_joint(joint={"synthetic_ratio": ratio})
    poison(running.state.gan.generator)
    reports, error = until_it_fails(running)
    assert (reports, error.reason) == ([], "diverged")
    assert "joint epoch 1" in str(error)


def test_a_classifier_that_is_no_number_ends_stage_three_by_name(at_joint: Begin) -> None:
    running = at_joint()
    poison(running.state.classifier)
    error = until_it_fails(running)[1]
    assert str(error) == "diverged: the classifier's loss in joint epoch 1 is nan"


def test_a_learning_rate_out_of_all_measure_ends_stage_one_by_name(digits: ImageData) -> None:
    running = trial(digits, classifier={"lr": 1e30, "schedule": "constant", "epochs": 9})
    error = until_it_fails(running)[1]
    assert error.reason == "diverged"
    assert "the classifier's loss in epoch" in str(error)


@pytest.mark.parametrize(("gap", "limit"), [(0.6, 0.5), (math.nan, 0.5)])
def test_a_discriminator_that_learns_by_heart_ends_the_trial(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch, gap: float, limit: float
) -> None:
    monkeypatch.setattr(gan_policies, "discriminator_gap", lambda _: gap)
    running = at_joint(joint={"max_discriminator_gap": limit, "epochs": 1})
    with pytest.raises(
        DivergedError, match=r"joint epoch 1 .*max_discriminator_gap: 0\.5"
    ) as caught:
        list(running.run())
    assert caught.value.reason == "discriminator_overfit"


@pytest.mark.parametrize("limit", [0.7, None])
def test_below_its_limit_the_gap_is_only_told(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> None:
    monkeypatch.setattr(gan_policies, "discriminator_gap", lambda _: 0.6)
    (report,) = at_joint(joint={"max_discriminator_gap": limit, "epochs": 1}).run()
    assert report.metrics["gan/discriminator_gap"] == 0.6
