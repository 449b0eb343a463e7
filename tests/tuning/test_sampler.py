"""Tests of the sampler: who gets which proposal, and going on after an end."""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from distill_tune.errors import StudyError
from distill_tune.tuning.sampling.proposals import PastTrial, raw_point
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.tuning.plans import MAX_EPOCHS, SPACE, plan, result, run


@pytest.fixture(autouse=True)
def _no_warning_at_all() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def states(sampler: SamplerPerBackbone, backbone: str) -> list[TrialState]:
    return [trial.state for trial in sampler.sampler(backbone).study.trials]


def test_trials_are_dealt_in_turn_until_they_are_out() -> None:
    sampler = SamplerPerBackbone(plan(num_trials=5))
    proposals = run(sampler, 0, 5)
    assert [proposal["number"] for proposal in proposals] == [0, 1, 2, 3, 4]
    assert [proposal["backbone"] for proposal in proposals] == ["resnet50", "alexnet"] * 2 + [
        "resnet50"
    ]
    assert all(set(proposal["params"]) == set(SPACE) for proposal in proposals)
    assert sampler.suggest("t5") == Searcher.FINISHED
    assert sampler.suggest("t6") == Searcher.FINISHED


def test_params_are_decoded_and_the_raw_ones_known() -> None:
    sampler = SamplerPerBackbone(plan())
    lrs = [proposal["params"]["joint.gan_lr"] for proposal in run(sampler, 0, 24)]
    raws = [sampler.raw(f"t{number}")["joint.gan_lr"] for number in range(24)]
    assert 0 < lrs.count(0.0) < 24
    assert all(isinstance(raw, float) and raw > 0 for raw in raws)
    assert lrs == [SPACE["joint.gan_lr"].decode(raw) for raw in raws]  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_proposals_and_another_gives_others() -> None:
    first, again, other = (run(SamplerPerBackbone(plan(seed=seed)), 0, 24) for seed in (7, 7, 8))
    assert first == again
    assert all(a["params"] != b["params"] for a, b in zip(first, other, strict=True))
    assert len({str(proposal["params"]) for proposal in first}) == 24


def test_a_backbone_is_sampled_as_if_it_were_alone() -> None:
    alone = SamplerPerBackbone(plan(backbones=("alexnet",)))
    together = SamplerPerBackbone(plan(backbones=("resnet50", "alexnet")))
    params = []
    for number in range(12):
        for sampler, trial_id in (
            (together, f"r{number}"),
            (together, f"a{number}"),
            (alone, f"s{number}"),
        ):
            proposal = sampler.suggest(trial_id)
            assert isinstance(proposal, dict)
            if proposal["backbone"] == "alexnet":
                params.append(proposal["params"])
            margin = proposal["params"]["joint.margin"]
            # The other backbone's values must not matter.
            sampler.on_trial_complete(
                trial_id, result(MAX_EPOCHS, -margin if "r" in trial_id else margin)
            )
    assert params[::2] == params[1::2]


def test_nothing_is_told_twice_and_strangers_are_passed_over() -> None:
    sampler = SamplerPerBackbone(plan(backbones=("resnet50",)))
    sampler.suggest("a")
    sampler.on_trial_complete("a", result(2, 0.6))
    before = sampler.history()
    sampler.on_trial_result("a", result(3, 0.9))
    sampler.on_trial_complete("a", result(MAX_EPOCHS, 0.9))
    sampler.on_trial_complete("a", error=True)
    sampler.on_trial_result("stranger", result(1, 0.9))
    sampler.on_trial_complete("stranger", result(1, 0.9))
    assert sampler.history() == before
    assert before[0].status == "pruned"


def test_every_backbone_tries_the_given_points_first() -> None:
    point = raw_point(
        SPACE, {"joint.margin": 0.5, "joint.gan_lr": 0.0, "joint.refresh": 2, "gan.steps": 4}
    )
    sampler = SamplerPerBackbone(plan(points_to_evaluate=(point, {"gan.steps": 3})))
    proposals = run(sampler, 0, 4)
    whole = {"joint.margin": 0.5, "joint.gan_lr": 0.0, "joint.refresh": 2, "gan.steps": 4}
    assert [proposal["params"] for proposal in proposals[:2]] == [whole, whole]
    assert [proposal["params"]["gan.steps"] for proposal in proposals[2:]] == [3, 3]
    assert proposals[2]["params"]["joint.margin"] != proposals[3]["params"]["joint.margin"]


def test_an_empty_space_gives_trials_without_params() -> None:
    sampler = SamplerPerBackbone(plan(dimensions={}, num_trials=4))
    assert [proposal["params"] for proposal in run(sampler, 0, 4)] == [{}] * 4
    assert states(sampler, "resnet50") == [TrialState.COMPLETE, TrialState.COMPLETE]
    copy = SamplerPerBackbone(plan(dimensions={}, num_trials=5))
    copy.replay(sampler.history())
    assert copy.suggest("last") == {"backbone": "resnet50", "number": 4, "params": {}}


@pytest.mark.parametrize("end", [2, 9, 23])
def test_replayed_from_the_records_the_proposals_are_the_same(end: int) -> None:
    uninterrupted = SamplerPerBackbone(plan())
    expected = run(uninterrupted, 0, 24)
    # The records lack Ray's ids; the trial that ran at the end has two epochs there.
    records = [replace(past, trial_id="") for past in uninterrupted.history()]
    half = replace(
        records[end], status="running", value=None, intermediate={1: records[end].intermediate[1]}
    )
    sampler = SamplerPerBackbone(plan())
    sampler.replay([half, *records[:end]])
    assert run(sampler, end, 24) == expected[end:]
    assert [replace(past, trial_id="") for past in sampler.history()] == records


def test_with_two_at_a_time_a_replay_proposes_unfinished_trials_again() -> None:
    first = SamplerPerBackbone(plan())
    run(first, 0, 6)
    six, seven, eight = (first.suggest(name) for name in ("six", "seven", "eight"))
    first.on_trial_complete("seven", result(2, 0.3))
    records = [past for past in first.history() if past.number != 5]
    second = SamplerPerBackbone(plan())
    second.replay(records)
    assert [past.number for past in second.history()] == [0, 1, 2, 3, 4]
    gap = second.suggest("again 5")
    assert isinstance(gap, dict)
    assert gap["number"] == 5
    assert second.suggest("again 6") == six
    assert second.suggest("again 8") == eight
    assert isinstance(seven, dict)
    assert [past.status for past in second.history()[5:]] == [
        "running",
        "running",
        "pruned",
        "running",
    ]
    assert second.history()[7].raw == first.history()[7].raw


def test_records_of_another_study_are_refused() -> None:
    past = PastTrial(0, "alexnet", dict.fromkeys(SPACE, 0), "failed")
    with pytest.raises(StudyError, match="trial 0 of 'alexnet', not 0 of 'resnet50'"):
        SamplerPerBackbone(plan()).replay([past])


def test_a_closed_sampler_proposes_nothing_more() -> None:
    sampler = SamplerPerBackbone(plan(), [{"backbone": "alexnet", "number": -1, "params": {}}])
    sampler.close()
    assert sampler.suggest("t0") == Searcher.FINISHED


def test_extra_runs_come_first_and_change_no_proposal() -> None:
    extras = [{"backbone": "alexnet", "number": -1 - n, "params": {}} for n in range(2)]
    alone, beside = SamplerPerBackbone(plan()), SamplerPerBackbone(plan(), extras)
    assert [beside.suggest(f"extra-{n}") for n in range(2)] == extras
    beside.on_trial_result("extra-0", result(1, 0.9))
    beside.on_trial_complete("extra-0", result(1, 0.9))
    assert run(beside, 0, 24) == run(alone, 0, 24)
    assert beside.suggest("t24") == Searcher.FINISHED
