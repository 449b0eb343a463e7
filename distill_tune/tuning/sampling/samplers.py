"""Optuna's samplers, by the names of ``search.sampler``: how each is made and what it is told."""

import math
import warnings
from collections.abc import Iterator, Mapping

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import Trial, TrialState

from distill_tune.study.sampler_needs import grid_values
from distill_tune.tuning.sampling.costs import whole_seconds
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import PastTrial, SamplerPlan

_AT_RUNG = frozenset({"gp", "cmaes"})
_CONSTRAINT = "feasible"


def make_sampler(plan: SamplerPlan, backbone: str, index: int) -> BaseSampler:
    """Return the sampler of a backbone's ``index``-th proposal, which samples what is not given."""
    seed, num_startup = plan.seed_of(backbone, index), plan.num_startup_trials
    if plan.sampler == "tpe":
        return TPESampler(seed=seed, n_startup_trials=num_startup)
    if plan.sampler == "gp":
        return GPSampler(seed=seed, n_startup_trials=num_startup)
    if plan.sampler == "cmaes":
        return CmaEsSampler(seed=seed, n_startup_trials=num_startup)
    return RandomSampler(seed=seed)


class PointSequence(Iterator[Mapping[str, Raw]]):
    """Points of a sampler that looks at no trial: each one of ``grid``, or those of ``qmc``.

    They come from a study of their own. In the study of the search, Optuna would not notice that a
    resumed trial or a first point is one of them. For other samplers, the sequence is empty.
    """

    def __init__(self, plan: SamplerPlan, backbone: str) -> None:
        self._space, self._num_left = plan.distributions(), 0.0
        seed = plan.seed_of(backbone, 0)
        if plan.sampler == "grid" and self._space:
            values = {path: grid_values(dimension) for path, dimension in plan.dimensions.items()}
            self._study = optuna.create_study(sampler=GridSampler(values, seed=seed))
            self._num_left = math.prod(map(len, values.values()))
        elif plan.sampler == "qmc" and self._space:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study = optuna.create_study(sampler=QMCSampler(scramble=True, seed=seed))
            # The sampler takes the dimensions from the first trial, which it draws at random.
            self._study.tell(self._study.ask(self._space), 0.0)
            self._num_left = math.inf

    def __next__(self) -> Mapping[str, Raw]:
        if not self._num_left:
            raise StopIteration
        self._num_left -= 1
        return self._study.ask(self._space).params


def count_given_point(plan: SamplerPlan, trial: Trial) -> None:
    """Let CMA-ES count a trial whose point was given: a first point, or one of before a resume.

    It notes in the trial of which generation a proposal is. Optuna asks it for none if the point is
    given.
    """
    if plan.sampler == "cmaes":
        _ = trial.relative_params


def tell(plan: SamplerPlan, study: optuna.Study, trial: Trial, past: PastTrial) -> None:
    """Tell Optuna how a trial ended.

    A stopped trial is PRUNED, after its last value. Only one that got to ``max_epochs`` is
    COMPLETE, with its best value. A trial that failed because of its params (it diverged,
    collapsed, was too large) violates a constraint, so that TPE learns to avoid such params. A
    trial that was lost otherwise, or has no finite value, is a FAIL, which every sampler ignores.

    GP and CMA-ES ignore PRUNED trials too, and most trials are pruned. They compare all trials at
    the first rung: each is COMPLETE with its best value up to there. One that failed because of its
    params has the lowest value so far; GP is told of the constraint as well.

    With two objectives, Optuna knows no epochs: each trial is COMPLETE with its best value and the
    seconds of all epochs, foretold if it was stopped. One that failed because of its params has the
    lowest value and the most seconds so far, and violates the constraint.
    """
    if plan.has_costs:
        _tell_value_and_cost(plan, study, trial, past)
        return
    if plan.sampler in _AT_RUNG:
        _tell_value_at_rung(plan, study, trial, past)
        return
    for epoch, value in sorted(past.intermediate.items()):
        trial.report(value, epoch)
    if past.status == "complete":
        study.tell(trial, past.value, state=TrialState.COMPLETE)
    elif past.status == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif past.infeasible:
        # Of the states that TPE uses, this one needs no value. The constraint must come first.
        trial.set_constraint(_CONSTRAINT, 1.0)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, state=TrialState.FAIL)


def _tell_value_at_rung(
    plan: SamplerPlan, study: optuna.Study, trial: Trial, past: PastTrial
) -> None:
    values = [value for epoch, value in past.intermediate.items() if epoch <= plan.min_epochs]
    value = max(values, default=None)
    if past.status == "failed":
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        lowest = min((one.value for one in told if one.value is not None), default=None)
        value = lowest if past.infeasible else None
    if value is None:
        study.tell(trial, state=TrialState.FAIL)
        return
    if plan.sampler == "gp":
        # Optuna wants as many constraints of every trial.
        trial.set_constraint(_CONSTRAINT, 1.0 if past.infeasible else -1.0)
    study.tell(trial, value)


def _tell_value_and_cost(
    plan: SamplerPlan, study: optuna.Study, trial: Trial, past: PastTrial
) -> None:
    value = max(past.intermediate.values(), default=None) if past.value is None else past.value
    seconds = whole_seconds(past.seconds, plan.max_epochs)
    if past.status == "failed":
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        is_known = past.infeasible and told
        value = min(one.values[0] for one in told) if is_known else None
        seconds = max(one.values[1] for one in told) if is_known else None
    if value is None or seconds is None:
        study.tell(trial, state=TrialState.FAIL)
        return
    trial.set_constraint(_CONSTRAINT, 1.0 if past.infeasible else -1.0)
    study.tell(trial, [value, seconds])
