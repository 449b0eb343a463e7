"""Trials of one backbone in Optuna: TPE's proposals and their true outcomes."""

import math
from collections.abc import Mapping
from typing import Any, cast

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search.optuna import OptunaSearch

from distill_tune.interfaces import INFEASIBLE, TrialStatus
from distill_tune.records.trials import OBJECTIVE
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import PastTrial, SamplerPlan
from distill_tune.tuning.scheduler import MODE

_STATUS: dict[TrialState, TrialStatus] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}

_NOT_RAYS = "number-"  # Ray's trial ids are hexadecimal.


def no_dimensions(_trial: object) -> None:
    """Propose nothing: stands for an empty space, which Ray's searcher takes for a missing one."""


class OptunaSampler(OptunaSearch):
    """Proposals for one backbone, and their outcomes.

    Optuna is told that a stopped trial is PRUNED, after its last value. Only a trial that got to
    ``max_epochs`` is COMPLETE, with its best value. A trial that failed because of its params (it
    diverged, collapsed, was too large) violates a constraint, so that TPE learns to avoid such
    params. A trial that was lost otherwise, or has no finite value, is a FAIL, which TPE ignores.
    Neither of these two reports a value. A proposal follows only from the plan and the trials
    before it: there is no hidden state, and reporting the same trials again gives the same
    proposals.
    """

    def __init__(self, plan: SamplerPlan, backbone: str) -> None:
        # Silence Optuna's message about each new study.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._plan, self._backbone = plan, backbone
        self._trial_ids: list[str] = []
        self._distributions = plan.distributions()
        super().__init__(
            self._distributions or no_dimensions, metric=OBJECTIVE, mode=MODE, sampler=self._tpe()
        )

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, in memory; its n-th trial is the n-th of this backbone."""
        return cast("optuna.Study", self._ot_study)

    def raw(self, trial_id: str) -> dict[str, Raw]:
        """Return the raw values proposed for a trial."""
        return dict(self._frozen(trial_id).params)

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the decoded values of a new proposal by dotted path."""
        index, points = len(self._trial_ids), self._plan.points(self._backbone)
        return self.propose(trial_id, points[index] if index < len(points) else {})

    def propose(self, trial_id: str, raw: Mapping[str, Raw]) -> dict[str, Any]:
        """Return decoded values by dotted path, with some or all of the raw values given."""
        self.study.sampler = self._tpe()
        if raw:
            self.study.enqueue_trial(dict(raw))
        self._trial_ids.append(trial_id)
        super().suggest(trial_id)
        raw_values: dict[str, Any] = self.raw(trial_id)
        dimensions = self._plan.dimensions
        return {path: dimensions[path].decode(value) for path, value in raw_values.items()}

    def adopt(self, past: PastTrial) -> dict[str, Any]:
        """Adopt a past trial; an unfinished one continues under its ``trial_id``.

        Returns:
            Its decoded values by dotted path.
        """
        trial_id = past.trial_id or f"{_NOT_RAYS}{past.number}"
        params = self.propose(trial_id, past.raw)
        for epoch, value in sorted(past.intermediate.items()):
            self._report(trial_id, epoch, value)
        if past.status == "complete" and past.value is not None and math.isfinite(past.value):
            self._tell(trial_id, TrialState.COMPLETE, past.value)
        elif past.status == "pruned":
            self._tell(trial_id, TrialState.PRUNED)
        elif past.is_over and past.infeasible:
            self._tell_infeasible(trial_id)
        elif past.is_over:
            self._tell(trial_id, TrialState.FAIL)
        return params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if self._is_open(trial_id) and not _has_failed(result):
            self._report(trial_id, result["training_iteration"], result[OBJECTIVE])

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        if not self._is_open(trial_id):
            return
        if result and result.get("failure") in INFEASIBLE:
            self._tell_infeasible(trial_id)
            return
        if error or not result or _has_failed(result):
            # Without any result, the trial was removed before it ran.
            self._tell(trial_id, TrialState.FAIL)
            return
        epoch = result["training_iteration"]
        self._report(trial_id, epoch, result[OBJECTIVE])
        if epoch < self._plan.max_epochs:
            self._tell(trial_id, TrialState.PRUNED)
        else:
            best = max(self._frozen(trial_id).intermediate_values.values())
            self._tell(trial_id, TrialState.COMPLETE, max(best, result[OBJECTIVE]))

    def history(self) -> list[PastTrial]:
        """Return all trials, in the order of their numbers."""
        return [self._past(index, trial_id) for index, trial_id in enumerate(self._trial_ids)]

    def _past(self, index: int, trial_id: str) -> PastTrial:
        frozen, backbones = self._frozen(trial_id), self._plan.backbones
        return PastTrial(
            number=index * len(backbones) + backbones.index(self._backbone),
            backbone=self._backbone,
            raw=dict(frozen.params),
            status="failed" if frozen.constraints else _STATUS.get(frozen.state, "running"),
            value=None if frozen.constraints else frozen.value,
            intermediate=dict(frozen.intermediate_values),
            infeasible=bool(frozen.constraints),
            trial_id="" if trial_id.startswith(_NOT_RAYS) else trial_id,
        )

    def _tpe(self) -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(
            seed=self._plan.seed_of(self._backbone, len(self._trial_ids)),
            n_startup_trials=self._plan.num_startup_trials,
        )

    def _frozen(self, trial_id: str) -> FrozenTrial:
        number: int = self._ot_trials[trial_id].number
        return self.study.get_trials(deepcopy=False)[number]

    def _is_open(self, trial_id: str) -> bool:
        return trial_id in self._ot_trials and trial_id not in self._completed_trials

    def _report(self, trial_id: str, epoch: int, value: float) -> None:
        # An epoch is reported twice after a restore; Optuna keeps the first and would warn.
        if math.isfinite(value) and epoch not in self._frozen(trial_id).intermediate_values:
            self._ot_trials[trial_id].report(value, epoch)

    def _tell(self, trial_id: str, state: TrialState, value: float | None = None) -> None:
        self.study.tell(self._ot_trials[trial_id], value, state=state)
        self._completed_trials.add(trial_id)

    def _tell_infeasible(self, trial_id: str) -> None:
        # Of the states that TPE uses, this one needs no value. The constraint must come first.
        self._ot_trials[trial_id].set_constraint("feasible", 1.0)
        self._tell(trial_id, TrialState.PRUNED)


def _has_failed(result: dict[str, Any]) -> bool:
    return bool(result.get("failure")) or not math.isfinite(result.get(OBJECTIVE, math.nan))
