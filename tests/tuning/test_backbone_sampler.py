"""Tests of one backbone's trials in Optuna: their true states, told once, without a warning."""

import math
import warnings
from collections.abc import Iterator

import optuna
import pytest
from optuna.trial import TrialState

from distill_tune.tuning.sampling.backbone_sampler import BackboneSampler
from distill_tune.tuning.sampling.proposals import PastTrial
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.tuning.plans import MAX_EPOCHS, plan, result


@pytest.fixture(autouse=True)
def _no_warning_at_all() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_optuna_is_told_what_became_of_a_trial() -> None:
    sampler = BackboneSampler(plan(), "resnet50")
    for trial_id in ("whole", "stopped", "failed", "nan", "error", "unheard", "running"):
        sampler.suggest(trial_id)
        if trial_id != "unheard":
            sampler.on_trial_result(trial_id, result(1, 0.5))
            sampler.on_trial_result(trial_id, result(2, math.nan))
    sampler.on_trial_result("whole", result(3, 0.9))
    sampler.on_trial_complete("whole", result(MAX_EPOCHS, 0.8))
    sampler.on_trial_complete("stopped", result(3, 0.6))
    sampler.on_trial_complete("failed", result(MAX_EPOCHS, 0.0, failure="diverged"))
    sampler.on_trial_complete("nan", result(MAX_EPOCHS, math.inf))
    sampler.on_trial_complete("error", error=True)
    sampler.on_trial_complete("unheard")
    trials = sampler.study.trials
    assert [(trial.state, trial.value) for trial in trials] == [
        (TrialState.COMPLETE, 0.9),
        (TrialState.PRUNED, 0.6),
        (TrialState.PRUNED, 0.5),
        *[(TrialState.FAIL, None)] * 3,
        (TrialState.RUNNING, None),
    ]
    assert trials[0].intermediate_values == {1: 0.5, 3: 0.9, 4: 0.8}
    assert trials[1].intermediate_values == {1: 0.5, 3: 0.6}
    assert trials[2].intermediate_values == {1: 0.5}


def test_an_epoch_reported_again_keeps_its_first_value_without_a_warning() -> None:
    sampler = BackboneSampler(plan(), "resnet50")
    sampler.suggest("a")
    for epoch, value in [(1, 0.1), (2, 0.2), (1, 0.15), (2, 0.25), (3, 0.3)]:
        sampler.on_trial_result("a", result(epoch, value))
    assert sampler.history()[0].intermediate == {1: 0.1, 2: 0.2, 3: 0.3}
    sampler.on_trial_complete("a", result(3, 0.9))
    assert sampler.study.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_tpe_learns_from_what_it_is_told() -> None:
    sampler = SamplerPerBackbone(plan(backbones=("resnet50",), num_trials=40))
    for number in range(40):
        proposal = sampler.suggest(f"t{number}")
        assert isinstance(proposal, dict)
        margin = proposal["params"]["joint.margin"]
        sampler.on_trial_complete(f"t{number}", result(MAX_EPOCHS, -abs(margin - 0.8)))
    margins = [past.raw["joint.margin"] for past in sampler.history()]
    late = [float(margin) for margin in margins[20:]]  # type: ignore[arg-type]
    assert sum(late) / len(late) > 0.65


def test_tpe_keeps_away_from_where_trials_fail_for_what_was_proposed() -> None:
    """The best values lie beyond 0.6, where every trial diverges; 0.59 is the best that lives."""
    shares = {}
    for failure in ("diverged", "worker_lost"):
        sampler = SamplerPerBackbone(plan(backbones=("resnet50",), num_trials=60))
        for number in range(60):
            proposal = sampler.suggest(f"t{number}")
            assert isinstance(proposal, dict)
            margin = proposal["params"]["joint.margin"]
            ended = {"failure": failure} if margin > 0.6 else {}
            sampler.on_trial_complete(f"t{number}", result(MAX_EPOCHS, margin, **ended))
        margins = [past.raw["joint.margin"] for past in sampler.history()]
        shares[failure] = sum(float(m) > 0.6 for m in margins[30:]) / 30  # type: ignore[arg-type]
    assert shares["diverged"] < shares["worker_lost"] / 2


def test_an_infeasible_trial_is_told_the_same_when_it_is_told_anew() -> None:
    told, replayed = (SamplerPerBackbone(plan(backbones=("resnet50",))) for _ in range(2))
    for number in range(12):
        proposal = told.suggest(f"t{number}")
        assert isinstance(proposal, dict)
        ended = {"failure": "collapsed"} if proposal["params"]["joint.margin"] > 0.5 else {}
        told.on_trial_result(f"t{number}", result(1, 0.5))
        told.on_trial_complete(f"t{number}", result(MAX_EPOCHS, 0.6, **ended))
    assert any(past.infeasible for past in told.history())
    replayed.replay(told.history())
    assert replayed.suggest("next") == told.suggest("next")


def test_optuna_is_kept_from_telling_of_its_studies() -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    BackboneSampler(plan(), "resnet50")
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR


def test_a_recorded_trial_without_a_finite_value_is_taken_over_as_failed() -> None:
    sampler = BackboneSampler(plan(dimensions={}), "resnet50")
    sampler.adopt(PastTrial(0, "resnet50", {}, "complete", math.nan, {1: math.nan, 2: 0.5}))
    (trial,) = sampler.study.trials
    assert (trial.state, trial.intermediate_values) == (TrialState.FAIL, {2: 0.5})
