"""Extra runs of a search that are still to be done: its controls."""

from typing import Any

from distill_tune.records.trials import StudyState
from distill_tune.study.arms import ARMS
from distill_tune.study.extra_runs import control_runs
from distill_tune.study.study import Study
from distill_tune.tuning.journal import Journal


def open_extras(study: Study, state: StudyState) -> list[dict[str, Any]]:
    """Return the configurations of the extra runs that have not ended."""
    runs = enumerate(control_runs(study))
    return [run.proposal(index) for index, run in runs if not _is_over(state, run.name)]


def num_open(study: Study, state: StudyState) -> int:
    """Return how many trials and extra runs have not ended."""
    over = sum(trial.ended_at is not None for trial in state.trials.values())
    # After a smaller number of trials was asked for, more may be over.
    return max(0, study.search.num_trials - over) + len(open_extras(study, state))


def settle_extras(journal: Journal, max_epochs: int) -> None:
    """End the extra runs that a kill caught between their last report and their end."""
    for name, record in list(journal.state.extras.items()):
        run = record.run
        last = 1 if ARMS[record.arm].is_stage_one_only else max_epochs
        if run.ended_at is None and run.history and max(run.history) >= last:
            detail = "found at a resume"
            journal.emit("extra_ended", name=name, status="complete", reason="", detail=detail)


def _is_over(state: StudyState, name: str) -> bool:
    return name in state.extras and state.extras[name].run.ended_at is not None
