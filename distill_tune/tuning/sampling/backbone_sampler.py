"""Trials of one backbone: an Optuna study that is asked for proposals and told their outcomes."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import Trial

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.trials import OBJECTIVE, SECONDS
from distill_tune.tuning.sampling.costs import epoch_seconds
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import PastTrial, SamplerPlan
from distill_tune.tuning.sampling.samplers import (
    PointSequence,
    count_given_point,
    make_sampler,
    tell,
)

_NOT_RAYS = "number-"  # Ray's trial ids are hexadecimal.


class BackboneSampler:
    """Proposals for one backbone, and their outcomes.

    A proposal follows only from the plan and the trials before it: there is no hidden state, and
    reporting the same trials again gives the same proposals.

    Attributes:
        study: The Optuna study, in memory; its n-th trial is the n-th of this backbone, after the
            continued trials.
    """

    def __init__(self, plan: SamplerPlan, backbone: str) -> None:
        # Silence Optuna's messages: about each new study, and what would make GP faster.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._plan, self._backbone = plan, backbone
        self._distributions = plan.distributions()
        self._sequence = PointSequence(plan, backbone)
        self._asked: dict[str, Trial] = {}
        self._past: dict[str, PastTrial] = {}
        directions = [StudyDirection.MAXIMIZE]
        if plan.has_costs:
            directions.append(StudyDirection.MINIMIZE)
        self.study = optuna.create_study(directions=directions)
        for past in plan.continued.get(backbone, ()):
            self._observe(past)

    def raw(self, trial_id: str) -> dict[str, Raw]:
        """Return the raw values proposed for a trial."""
        return dict(self._past[trial_id].raw)

    def history(self) -> list[PastTrial]:
        """Return all trials, in the order of their numbers."""
        return list(self._past.values())

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the decoded values of a new proposal by dotted path."""
        index, points = len(self._past), self._plan.points(self._backbone)
        return self._propose(trial_id, points[index] if index < len(points) else self._next())

    def adopt(self, past: PastTrial) -> dict[str, Any]:
        """Adopt a past trial; an unfinished one continues under its ``trial_id``.

        Returns:
            Its decoded values by dotted path.
        """
        trial_id = past.trial_id or f"{_NOT_RAYS}{past.number}"
        params = self._propose(trial_id, past.raw)
        known = {epoch: value for epoch, value in past.intermediate.items() if math.isfinite(value)}
        own = self._past[trial_id] = replace(
            self._past[trial_id], intermediate=known, seconds=past.seconds
        )
        if past.status == "complete" and (past.value is None or not math.isfinite(past.value)):
            self._end(trial_id, replace(own, status="failed"))
        elif past.status == "failed":
            self._end(trial_id, replace(own, status="failed", infeasible=past.infeasible))
        elif past.is_over:
            self._end(trial_id, replace(own, status=past.status, value=past.value))
        return params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note an epoch of a trial."""
        if self._is_open(trial_id) and not _has_failed(result):
            self._past[trial_id] = _with_epoch(self._past[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """End a trial; one without any result was removed before it ran."""
        if not self._is_open(trial_id):
            return
        past, result = self._past[trial_id], result or {}
        if error or _has_failed(result):
            is_infeasible = result.get("failure") in INFEASIBLE
            self._end(trial_id, replace(past, status="failed", infeasible=is_infeasible))
            return
        past = _with_epoch(past, result)
        best = max(*past.intermediate.values(), result[OBJECTIVE])
        is_whole = result["training_iteration"] >= self._plan.max_epochs
        self._end(trial_id, replace(past, status="complete" if is_whole else "pruned", value=best))

    def _observe(self, past: PastTrial) -> None:
        """Tell Optuna of a trial of another study; it is no proposal and has no index."""
        self.study.sampler = make_sampler(self._plan, self._backbone, 0)
        self.study.enqueue_trial(dict(past.raw))
        trial = self.study.ask(self._distributions)
        count_given_point(self._plan, trial)
        tell(self._plan, self.study, trial, past)

    def _next(self) -> Mapping[str, Raw]:
        """Return the next point of the sequence that has not been tried; empty if there is none."""
        tried = [past.raw for past in self._past.values()]
        tried += [past.raw for past in self._plan.continued.get(self._backbone, ())]
        return next((point for point in self._sequence if point not in tried), {})

    def _propose(self, trial_id: str, raw: Mapping[str, Raw]) -> dict[str, Any]:
        """Return decoded values by dotted path, with some or all of the raw values given."""
        index, backbones = len(self._past), self._plan.backbones
        self.study.sampler = make_sampler(self._plan, self._backbone, index)
        if raw:
            self.study.enqueue_trial(dict(raw))
        trial = self._asked[trial_id] = self.study.ask(self._distributions)
        count_given_point(self._plan, trial)
        self._past[trial_id] = PastTrial(
            number=index * len(backbones) + backbones.index(self._backbone),
            backbone=self._backbone,
            raw=trial.params,
            status="running",
            trial_id="" if trial_id.startswith(_NOT_RAYS) else trial_id,
        )
        dimensions = self._plan.dimensions
        return {path: dimensions[path].decode(value) for path, value in trial.params.items()}

    def _is_open(self, trial_id: str) -> bool:
        return trial_id in self._past and not self._past[trial_id].is_over

    def _end(self, trial_id: str, past: PastTrial) -> None:
        self._past[trial_id] = past
        tell(self._plan, self.study, self._asked[trial_id], past)


def _has_failed(result: Mapping[str, Any]) -> bool:
    return bool(result.get("failure")) or not math.isfinite(result.get(OBJECTIVE, math.nan))


def _with_epoch(past: PastTrial, result: Mapping[str, Any]) -> PastTrial:
    """Return the trial with an epoch; one that is reported again keeps its first value."""
    epoch = {result["training_iteration"]: result[OBJECTIVE]}
    seconds = {result["training_iteration"]: epoch_seconds(result, f"metrics/{SECONDS}")}
    return replace(
        past, intermediate={**epoch, **past.intermediate}, seconds={**seconds, **past.seconds}
    )
