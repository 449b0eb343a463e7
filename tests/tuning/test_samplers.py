"""Every sampler of ``search.sampler``: it goes on after an end, and learns what it should."""

import math
import pickle
import warnings
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from optuna.trial import TrialState

from distill_tune.study.sections import SamplerName
from distill_tune.study.space import Choice, Dimension, LogUniform, RandInt, Uniform
from distill_tune.tuning.sampling.backbone_sampler import BackboneSampler
from distill_tune.tuning.sampling.proposals import SamplerPlan
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.tuning.plans import MAX_EPOCHS, MIN_EPOCHS, SPACE, plan, result
from tests.tuning.scripted_search import Search, scripted_plan

SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

RANGES: dict[str, Dimension] = {
    "joint.margin": Uniform(0.05, 0.9),
    "joint.gan_lr": LogUniform(1e-6, 2e-4, or_zero=0.2),
    "gan.steps": RandInt(1, 4),
}
LISTS: dict[str, Dimension] = {
    "joint.margin": Choice((0.1, 0.3, 0.45, 0.8)),
    "joint.refresh": Choice((1, 2, 5)),
    "gan.steps": RandInt(1, 4),
}
SPACES = {"cmaes": RANGES, "grid": LISTS}


@pytest.fixture(autouse=True)
def _no_warning_at_all() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(params=SAMPLERS)
def name(request: pytest.FixtureRequest) -> SamplerName:
    """Return each sampler in turn."""
    if request.param == "cmaes":
        pytest.importorskip("cmaes")
    found: SamplerName = request.param
    return found


def plan_of(name: SamplerName, seed: int = 0, **more: Any) -> SamplerPlan:
    given = {"dimensions": SPACES.get(name, SPACE), "sampler": name, "num_trials": 26}
    if name == "gp":
        # A proposal takes a fifth of a second.
        given["num_trials"] = 9
    return scripted_plan(seed, **(given | more))


def test_an_interrupted_search_proposes_what_an_uninterrupted_one_does(name: SamplerName) -> None:
    uninterrupted = Search(plan_of(name)).run()
    assert Search(plan_of(name)).run(stops=(0, 4, 5, 11, 17, 24)) == uninterrupted


def test_so_it_does_with_two_backbones() -> None:
    for name in ("qmc", "grid"):
        plans = [plan_of(name, num_backbones=2) for _ in range(2)]
        assert Search(plans[0]).run(stops=(7, 20)) == Search(plans[1]).run()


def test_two_at_a_time_every_trial_keeps_its_values_over_an_end(name: SamplerName) -> None:
    search = Search(plan_of(name), slots=2)
    proposals = search.run(stops=(3, 8, 19))
    assert [past.raw for past in search.sampler.history()] == proposals
    assert len({str(point) for point in proposals}) > 0.8 * len(proposals)


def test_another_seed_gives_other_proposals(name: SamplerName) -> None:
    first, other = (Search(plan_of(name, seed)).run() for seed in (3, 4))
    # The defaults and the warm start are the same, and a grid has few points.
    assert sum(a != b for a, b in zip(first, other, strict=True)) > 0.6 * len(first)


def test_ray_can_store_a_sampler_that_has_taken_over_a_search(name: SamplerName) -> None:
    search = Search(plan_of(name, num_trials=8))
    search.run()
    more = SamplerPerBackbone(plan_of(name, num_trials=9))
    more.replay(search.sampler.history())
    copy = pickle.loads(pickle.dumps(more))  # noqa: S301 - our own
    assert copy.suggest("next") == more.suggest("next")


def test_an_empty_space_has_one_proposal(name: SamplerName) -> None:
    sampler = BackboneSampler(plan(dimensions={}, sampler=name), "alexnet")
    for trial_id in "abcdefgh":
        assert sampler.suggest(trial_id) == {}
        sampler.on_trial_complete(trial_id, result(MAX_EPOCHS, 0.5))


def test_the_grid_has_each_point_once_whatever_was_tried_first() -> None:
    size = 4 * 3 * 4
    search = Search(plan_of("grid", num_trials=size))
    proposals = search.run(stops=(1, 20, 40))
    # What the warm start and the defaults leave out is drawn, so they may be equal.
    assert len({str(point) for point in proposals}) >= size - 2
    assert len({str(point) for point in proposals[3:]}) == size - 3
    whole = ({"joint.margin": 0.45, "joint.refresh": 2, "gan.steps": 2},)
    search = Search(plan_of("grid", num_trials=size, points_to_evaluate=whole, first_points={}))
    assert len({str(point) for point in search.run(stops=(9,))}) == size


def test_a_grid_of_which_nothing_is_left_repeats_points() -> None:
    tiny = {"gan.steps": RandInt(1, 2)}
    search = Search(plan_of("grid", dimensions=tiny, num_trials=5))
    assert {point["gan.steps"] for point in search.run()} == {1, 2}


def test_qmc_covers_every_dimension_evenly_from_the_first_trial_that_is_not_given() -> None:
    search = Search(plan_of("qmc", num_trials=19, dimensions=RANGES))
    points = search.run(stops=(8,))[3:]
    for path, dimension in RANGES.items():
        if path == "gan.steps":
            continue
        low, high = float(dimension.low or 0), float(dimension.high or 0)
        values = [float(point[path]) for point in points]
        if dimension.log:
            low, high = math.log(low), math.log(high)
            values = [math.log(value) for value in values]
        parts = {int(16 * (value - low) / (high - low)) for value in values}
        assert parts == set(range(16)), path


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_trials_are_compared_at_the_first_rung(name: SamplerName) -> None:
    """A pruned trial counts as much as a whole one, and nothing after the rung does."""
    if name == "cmaes":
        pytest.importorskip("cmaes")
    proposals = []
    for last, late in ((MIN_EPOCHS, 0.0), (MAX_EPOCHS, 0.9), (MAX_EPOCHS, 0.3)):
        sampler = BackboneSampler(plan(dimensions=RANGES, sampler=name), "alexnet")
        for number in range(8):
            margin = sampler.suggest(f"t{number}")["joint.margin"]
            for epoch in range(1, last):
                value = 0.2 * margin * epoch if epoch <= MIN_EPOCHS else late
                sampler.on_trial_result(f"t{number}", result(epoch, value))
            value = 0.2 * margin * last if last <= MIN_EPOCHS else late
            sampler.on_trial_complete(f"t{number}", result(last, value))
        assert {trial.state for trial in sampler.study.trials} == {TrialState.COMPLETE}
        assert {past.status for past in sampler.history()} == (
            {"pruned"} if last == MIN_EPOCHS else {"complete"}
        )
        proposals.append(sampler.history()[-1].raw)
    assert proposals[0] == proposals[1] == proposals[2]


def margins(name: SamplerName, num_trials: int, failure: str = "") -> list[float]:
    """Return the margins proposed where 0.75 is the best one, and fails if trials above 0.6 do."""
    space = {"joint.margin": Uniform(0.05, 0.9), "joint.other": Uniform(0, 1)}
    sampler = BackboneSampler(plan(dimensions=space, sampler=name), "alexnet")
    found: list[float] = []
    for number in range(num_trials):
        found.append(sampler.suggest(f"t{number}")["joint.margin"])
        ended = {"failure": failure} if failure and found[-1] > 0.6 else {}
        value = 1 - abs(found[-1] - 0.75)
        sampler.on_trial_complete(f"t{number}", result(MIN_EPOCHS, value, **ended))
    return found


@pytest.mark.parametrize(("name", "num_trials"), [("tpe", 40), ("gp", 14), ("cmaes", 60)])
def test_a_sampler_that_learns_goes_where_values_are_higher(
    name: SamplerName, num_trials: int
) -> None:
    if name == "cmaes":
        pytest.importorskip("cmaes")
    late = margins(name, num_trials)[num_trials // 2 :]
    assert sum(late) / len(late) > 0.62


def test_gp_keeps_away_from_where_trials_fail_for_what_was_proposed() -> None:
    late = [margins("gp", 18, failure)[9:] for failure in ("diverged", "worker_lost")]
    shares = [sum(margin > 0.6 for margin in found) / len(found) for found in late]
    assert shares[0] <= 0.5 < shares[1]


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_a_trial_that_failed_for_what_was_proposed_has_the_lowest_value(name: SamplerName) -> None:
    sampler = BackboneSampler(plan(dimensions=RANGES, sampler=name), "alexnet")
    for trial_id, value in (("good", 0.8), ("bad", 0.4), ("failed", 0.9)):
        sampler.suggest(trial_id)
        ended = {"failure": "collapsed"} if trial_id == "failed" else {}
        sampler.on_trial_result(trial_id, result(1, value))
        sampler.on_trial_complete(trial_id, result(MAX_EPOCHS, value, **ended))
    trials = sampler.study.trials
    assert [trial.value for trial in trials] == [0.8, 0.4, 0.4]
    is_gp = name == "gp"
    assert [list(trial.constraints.values()) for trial in trials] == (
        [[-1.0], [-1.0], [1.0]] if is_gp else [[], [], []]
    )


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_the_others_look_at_no_value(name: SamplerName) -> None:
    proposals = []
    for worth in (1.0, -1.0):
        search = plan(backbones=("alexnet",), dimensions=LISTS, sampler=name)
        sampler = BackboneSampler(search, "alexnet")
        for number in range(20):
            margin = sampler.suggest(f"t{number}")["joint.margin"]
            sampler.on_trial_complete(f"t{number}", result(MAX_EPOCHS, worth * margin))
        proposals.append([past.raw for past in sampler.history()])
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_a_failure_before_any_value_and_a_lost_trial_are_ignored(name: SamplerName) -> None:
    sampler = BackboneSampler(plan(dimensions=RANGES, sampler=name), "alexnet")
    for trial_id in ("failed", "whole", "again", "lost"):
        sampler.suggest(trial_id)
    sampler.on_trial_complete("failed", result(1, 0.0, failure="diverged"))
    sampler.on_trial_complete("whole", result(MAX_EPOCHS, 0.7))
    sampler.on_trial_complete("again", result(1, 0.9, failure="collapsed"))
    sampler.on_trial_complete("lost", error=True)
    # No epoch up to the rung is known of the whole one.
    assert [trial.state for trial in sampler.study.trials] == [TrialState.FAIL] * 4
    assert [past.status for past in sampler.history()] == ["failed", "complete", "failed", "failed"]
