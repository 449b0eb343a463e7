"""What we rely on in Optuna, one promise a test; each docstring says what of ours breaks with it.

All of it is public, as the last test holds, but not all is documented, so ``pyproject.toml`` admits
one major version (``optuna>=5,<6``): run these tests with the next one before that is raised.

Promises that other tests hold already: a seed and the trials told before fix a proposal, replayed
or not (``test_samplers``); what lies outside a distribution is refused by ``create_trial``
(``test_proposals``); a study that is used so warns of nothing (``test_backbone_sampler``).
"""

import ast
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import CmaEsSampler, GPSampler, GridSampler, TPESampler
from optuna.trial import Trial, TrialState

import distill_tune

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "rate": FloatDistribution(1e-6, 1e-1, log=True),
    "kind": CategoricalDistribution(("a", 2, None, False)),
}


@pytest.fixture(autouse=True)
def _no_warning_at_all() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    optuna.logging.set_verbosity(before)


def ask(study: optuna.Study, seed: int, point: Mapping[str, Any] | None = None) -> Trial:
    """Return a trial proposed as ours are: by a sampler of its own."""
    study.sampler = TPESampler(seed=seed, n_startup_trials=3)
    if point:
        study.enqueue_trial(dict(point))
    return study.ask(fixed_distributions=SPACE)


def point(x: float) -> dict[str, Any]:
    return {"x": x, "rate": 1e-3, "kind": "a"}


def study_of(values: Mapping[float, float]) -> optuna.Study:
    """Return a study with a complete trial for each x."""
    study = optuna.create_study(direction="maximize")
    for seed, (x, value) in enumerate(values.items()):
        study.tell(ask(study, seed, point(x)), value)
    return study


def test_a_pruned_trial_has_the_value_that_was_reported_last() -> None:
    """Else the best value of a pruned trial is lost to the sampler."""
    study = study_of({})
    trial = ask(study, 0)
    trial.report(0.4, 2)
    trial.report(0.3, 1)
    study.tell(trial, state=TrialState.PRUNED)
    assert study.trials[0].value == 0.4
    assert study.trials[0].intermediate_values == {1: 0.3, 2: 0.4}


def test_a_failed_trial_is_told_without_a_value_only() -> None:
    """Else ``tell`` has to tell FAIL in another way."""
    study = study_of({})
    study.tell(ask(study, 0), state=TrialState.FAIL)
    assert (study.trials[0].state, study.trials[0].value) == (TrialState.FAIL, None)
    with pytest.raises(ValueError, match="FAIL"):
        study.tell(ask(study, 1), 0.5, state=TrialState.FAIL)


def test_a_step_told_twice_is_warned_of_and_keeps_its_first_value() -> None:
    """It is why ``tell`` reports all epochs at the end: a restored trial repeats some."""
    trial = ask(study_of({}), 0)
    trial.report(0.1, 1)
    with pytest.warns(UserWarning, match="already reported"):
        trial.report(0.2, 1)
    assert trial.study.trials[0].intermediate_values == {1: 0.1}


def test_nan_is_no_value_of_a_complete_trial() -> None:
    """It is why a trial without a finite value is told as FAIL."""
    study = study_of({})
    with pytest.raises(ValueError, match="nan"):
        study.tell(ask(study, 0), math.nan, state=TrialState.COMPLETE)


@pytest.mark.parametrize("kind", ["a", 2, None, False])
def test_a_queued_point_comes_back_to_the_last_bit(kind: object) -> None:
    """Else a resumed trial runs with other params than before, and TPE goes another way."""
    queued = {"x": 0.1 + 0.2, "rate": 1e-5 / 3, "kind": kind}
    params = ask(study_of({}), 0, queued).params
    assert params == queued
    assert type(params["kind"]) is type(kind)


def test_what_a_queued_point_leaves_out_is_sampled() -> None:
    """Else a default outside a dimension's range spoils every backbone's first trial."""
    rates = set()
    for seed in range(3):
        params = ask(study_of({}), seed, {"x": 0.25}).params
        assert set(params) == set(SPACE)
        assert params["x"] == 0.25
        rates.add(params["rate"])
    assert len(rates) == 3


def test_a_queued_value_from_outside_is_taken_with_a_warning() -> None:
    """It is why ``SamplerPlan`` checks the points to evaluate itself."""
    with pytest.warns(UserWarning, match="out of range"):
        params = ask(study_of({}), 0, {"x": 2.0}).params
    assert params["x"] == 2.0


def test_tpe_looks_at_no_value_before_the_startup_trials_are_over() -> None:
    """Else ``num_startup_trials`` means something else."""
    few, many = [0.1, 0.5], [0.1, 0.5, 0.9]
    for xs, same in ((few, True), (many, False)):
        rising = study_of({x: x for x in xs})
        falling = study_of({x: -x for x in xs})
        proposals = [
            [ask(study, 100 + s).params["x"] for s in range(3)] for study in (rising, falling)
        ]
        assert (proposals[0] == proposals[1]) is same


def test_a_trial_that_runs_keeps_the_next_one_away_from_its_own_point() -> None:
    """Else trials that run side by side are proposed alike."""
    study = study_of({x / 12: -abs(x / 12 - 0.8) for x in range(12)})
    first = ask(study, 7).params
    assert study.trials[-1].state == TrialState.RUNNING
    assert ask(study, 7).params != first


def test_a_pruned_trial_ranks_below_every_complete_one() -> None:
    """Else a lucky first epoch counts for more than a whole trial: why we tell PRUNED at all."""
    means = []
    for state in (TrialState.PRUNED, TrialState.COMPLETE):
        study = study_of({0.75 + index / 100: 0.5 for index in range(10)})
        for index in range(10):
            trial = ask(study, index, point(0.15 + index / 100))
            trial.report(0.9, 1)
            study.tell(trial, 0.9 if state == TrialState.COMPLETE else None, state=state)
        proposed = [ask(study, seed).params["x"] for seed in range(20)]
        means.append(sum(proposed) / len(proposed))
    assert means[0] > 0.5 > means[1]


def test_of_a_queued_point_the_sampler_is_asked_when_its_relative_params_are() -> None:
    """Else CMA-ES does not count trials of before a resume: see ``count_given_point``."""
    asked = []

    class Asked(TPESampler):
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            asked.append(trial.number)
            return super().sample_relative(study, trial, search_space)

    study = study_of({0.1: 0.1})
    study.sampler = Asked(seed=0)
    study.enqueue_trial(point(0.5))
    trial = study.ask(fixed_distributions=SPACE)
    assert asked == []
    assert trial.relative_params == {}
    assert asked == [1]
    assert trial.params == point(0.5)


def test_cmaes_learns_from_given_points_as_from_its_own() -> None:
    """Else a resumed search with ``sampler: cmaes`` goes another way: ``count_given_point``."""
    pytest.importorskip("cmaes")
    space = {"x": SPACE["x"], "rate": SPACE["rate"]}
    proposals: list[dict[str, Any]] = []
    repeated = optuna.create_study(direction="maximize")
    study = optuna.create_study(direction="maximize")
    for seed in range(20):
        for one in (study, repeated):
            one.sampler = CmaEsSampler(seed=seed)
        proposals.append(study.ask(fixed_distributions=space).params)
        study.tell(seed, proposals[-1]["x"])
        if seed < 15:
            repeated.enqueue_trial(proposals[-1])
        trial = repeated.ask(fixed_distributions=space)
        _ = trial.relative_params
        assert trial.params == proposals[-1]
        repeated.tell(trial, proposals[-1]["x"])
    assert sum(one["x"] for one in proposals[10:]) > sum(one["x"] for one in proposals[:10])


def test_gp_wants_as_many_constraints_of_each_trial() -> None:
    """It is why ``tell`` gives GP a constraint of trials that did not fail, too."""
    study = optuna.create_study(direction="maximize", sampler=GPSampler(seed=0, n_startup_trials=2))
    for number, constraint in enumerate((None, 1.0)):
        trial = study.ask(fixed_distributions=SPACE)
        if constraint is not None:
            trial.set_constraint("feasible", constraint)
        study.tell(trial, float(number))
    with pytest.raises(ValueError, match="number of constraints"):
        study.ask(fixed_distributions=SPACE)


def test_cmaes_warns_of_a_constraint() -> None:
    """It is why ``tell`` sets none for it."""
    study = optuna.create_study(direction="maximize", sampler=CmaEsSampler(seed=0))
    trial = study.ask(fixed_distributions={"x": SPACE["x"]})
    trial.set_constraint("feasible", 1.0)
    with pytest.warns(UserWarning, match="CmaEsSampler will not use"):
        study.tell(trial, 0.5)


@pytest.mark.parametrize("sampler", [GPSampler, CmaEsSampler])
def test_gp_and_cmaes_ignore_pruned_trials(sampler: Any) -> None:
    """It is why ``tell`` tells them of each trial at the first rung."""
    studies = [optuna.create_study(direction="maximize") for _ in range(2)]
    for seed in range(6):
        for study, sign in zip(studies, (1, -1), strict=True):
            study.sampler = sampler(seed=seed, n_startup_trials=2)
            trial = study.ask(fixed_distributions={"x": SPACE["x"]})
            trial.report(sign * trial.params["x"], 1)
            study.tell(trial, state=TrialState.PRUNED)
    assert studies[0].trials[-1].params == studies[1].trials[-1].params


def test_the_grid_would_not_know_a_queued_point() -> None:
    """It is why ``PointSequence`` has a study of its own for the grid."""
    values = {"x": [0.25, 0.5, 0.75]}
    study = optuna.create_study(sampler=GridSampler(values, seed=1))
    order = [study.ask(fixed_distributions={"x": SPACE["x"]}).params for _ in range(3)]
    again = optuna.create_study(sampler=GridSampler(values, seed=1))
    again.enqueue_trial(order[1])
    for expected in (order[1], order[1], order[2]):
        assert again.ask(fixed_distributions={"x": SPACE["x"]}).params == expected


def test_no_private_name_of_optuna_is_used() -> None:
    """Nor Ray's ``OptunaSearch``; ruff refuses private attributes of anything but ``self``."""
    used = set[str]()
    for path in Path(distill_tune.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                used.add(ast.unparse(node))
    of_optuna = {name for name in used if name.startswith(("optuna.", "ray.tune.search.optuna"))}
    assert {"optuna.samplers.TPESampler", "optuna.create_study"} <= of_optuna
    assert [name for name in of_optuna if "._" in name or not name.startswith("optuna.")] == []
