"""Extra runs of a search that are still to be done: its controls, then its finalists."""

from typing import Any

from distill_tune.records.trials import StudyState
from distill_tune.study.arms import known_arms
from distill_tune.study.extra_runs import ExtraRun, control_runs, finalist_runs
from distill_tune.study.study import Study
from distill_tune.tuning.extras.finalists import chosen
from distill_tune.tuning.journal import Journal


def open_extras(study: Study, state: StudyState) -> list[dict[str, Any]]:
    """Return the configurations of the extra runs that can be done now and have not ended."""
    controls = control_runs(study)
    runs = list(enumerate([*controls, *_finalists_due(study, state)]))
    return [run.proposal(index) for index, run in runs if not _is_over(state, run.name)]


def open_finalists(study: Study, state: StudyState) -> list[dict[str, Any]]:
    """Return those of the finalists: none before all trials and controls are over."""
    return [one for one in open_extras(study, state) if one["extra"]["kind"] == "finalist"]


def _finalists_due(study: Study, state: StudyState) -> list[ExtraRun]:
    if study.search.finalists is None or not is_searched(study, state):
        return []
    best = chosen(study, state).values()
    return finalist_runs(study, [trial for trials in best for trial in trials])


def is_searched(study: Study, state: StudyState) -> bool:
    """Return whether all trials and controls are over, or a rule has stopped them for good."""
    if state.stop is not None:
        return not state.stop.is_budget
    controls = (_is_over(state, run.name) for run in control_runs(study))
    return num_open_trials(study, state) == 0 and all(controls)


def num_open_trials(study: Study, state: StudyState) -> int:
    """Return how many trials have not ended."""
    over = sum(trial.ended_at is not None for trial in state.trials.values())
    # More may be over than are asked for now.
    return max(0, study.search.num_trials - over)


def num_open(study: Study, state: StudyState) -> int:
    """Return how many trials, and extra runs that can be done now, have not ended."""
    return num_open_trials(study, state) + len(open_extras(study, state))


def settle_extras(journal: Journal, max_epochs: int) -> None:
    """End the extra runs that a kill caught between their last report and their end."""
    for name, record in list(journal.state.extras.items()):
        run = record.run
        last = 1 if known_arms()[record.arm].is_stage_one_only else max_epochs
        if run.ended_at is None and run.history and max(run.history) >= last:
            detail = "found at a resume"
            journal.emit("extra_ended", name=name, status="complete", reason="", detail=detail)


def _is_over(state: StudyState, name: str) -> bool:
    return name in state.extras and state.extras[name].run.ended_at is not None
