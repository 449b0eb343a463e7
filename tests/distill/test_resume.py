"""A trial that is stopped and loaded again is the trial that was never stopped, bit for bit."""

import copy
from typing import Any, NamedTuple

import pytest

from distill_tune.distill import gan_stage
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.trial import Report, Trial
from distill_tune.interfaces import ImageData
from tests.distill.tiny import differences, packed, trial, unpacked

SAFE: dict[str, Any] = {}
LITERAL: dict[str, Any] = {"preset": "poster_literal", "joint": {"margin": 1.5}}
OTHER: dict[str, Any] = {
    "classifier": {"optimizer": "sgd", "schedule": "constant", "lr": 5e-2},
    "gan": {"mode_seeking": 1.0, "discriminator_steps": 2, "warmup_steps": 5},
    "joint": {
        "hard_rule": "confidence",
        "feature_norm": "l2",
        "pairing": "class",
        "refresh": "plateau",
        "collapse_policy": "rollback",
        "epochs": 3,
    },
}
AUTO: dict[str, Any] = {
    "gan": {"warmup_steps": "auto", "max_warmup_steps": 7},
    "joint": {"selection": "hard", "candidates": 3, "unfit_policy": "scale"},
}
CONFIGURATIONS = pytest.mark.parametrize(
    "changes", [SAFE, LITERAL, OTHER, AUTO], ids=["safe", "poster_literal", "other", "auto"]
)


class Moment(NamedTuple):
    """A report without its wall time, the state of then, and its checkpoint."""

    report: Report
    state: StateDict
    checkpoint: bytes


def moment(running: Trial, report: Report) -> Moment:
    state = running.state_dict()
    return Moment(report._replace(seconds=0.0), copy.deepcopy(state), packed(state))


def history(running: Trial) -> list[Moment]:
    return [moment(running, report) for report in running.run()]


def loaded(images: ImageData, changes: dict[str, Any], checkpoint: bytes) -> Trial:
    resumed = trial(images, **changes)
    resumed.load_state_dict(unpacked(checkpoint))
    return resumed


@pytest.fixture(scope="module")
def whole(digits: ImageData) -> list[Moment]:
    """Return every moment of the small trial."""
    return history(trial(digits))


def assert_same(one: Moment, other: Moment) -> None:
    assert one.report == other.report
    assert differences(one.state, other.state) == []


@CONFIGURATIONS
def test_a_trial_stopped_at_any_report_is_the_uninterrupted_one(
    digits: ImageData, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gan_stage, "_REPORTS", 2)
    monkeypatch.setattr(gan_stage, "CHECK_STEPS", 3)
    whole = history(trial(digits, **changes))
    assert {at.report.stage for at in whole} == {"classifier", "warmup", "triplet", "joint"}
    resumed = trial(digits, **changes)
    for expected in whole:
        got = moment(resumed, next(resumed.run()))
        assert_same(got, expected)
        resumed = loaded(digits, changes, got.checkpoint)
    assert list(resumed.run()) == []
    stages = [at.report.stage for at in whole]
    for stage in ("classifier", "warmup", "joint"):
        start = stages.index(stage)
        rest = history(loaded(digits, changes, whole[start].checkpoint))
        assert len(rest) == len(whole) - start - 1
        for got, expected in zip(rest, whole[start + 1 :], strict=True):
            assert_same(got, expected)


def test_a_configuration_always_gives_the_same_trial_and_another_seed_another(
    digits: ImageData, whole: list[Moment]
) -> None:
    for first, second in zip(whole, history(trial(digits)), strict=True):
        assert_same(first, second)
    other = history(trial(digits, seed=1))
    assert all(a.report.metrics != b.report.metrics for a, b in zip(whole, other, strict=True))


def test_loading_changes_a_trial_that_has_gone_elsewhere(
    digits: ImageData, whole: list[Moment]
) -> None:
    elsewhere = trial(digits)
    for report in elsewhere.run():
        if report.stage == "joint":
            break
    for start in (1, 4, 8):
        elsewhere.load_state_dict(unpacked(whole[start].checkpoint))
        rest = history(elsewhere)
        assert_same(rest[0], whole[start + 1])
        assert_same(rest[-1], whole[-1])


def test_a_checkpoint_is_not_changed_by_the_trial_that_loaded_it(
    digits: ImageData, whole: list[Moment]
) -> None:
    for at in (whole[0], whole[4], whole[-2]):
        saved = unpacked(at.checkpoint)
        assert differences(saved, at.state) == []
        resumed = trial(digits)
        resumed.load_state_dict(saved)
        list(resumed.run())
        assert differences(saved, unpacked(at.checkpoint)) == []
