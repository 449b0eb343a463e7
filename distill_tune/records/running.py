"""Status of a study: does it run, and is it its search that runs."""

from typing import Final, Literal

from distill_tune.records.trials import SessionStatus, StudyState

CONFIRM_STARTED: Final = "confirm_started"
"""Event of a confirmation's start: no search of the study runs any more."""

StudyStatus = Literal["new"] | SessionStatus

# Without a lock (object stores), a search that has logged nothing for so long counts as killed.
_SILENCE_S = 900.0


def study_status(state: StudyState, in_use: bool | None, now: float) -> StudyStatus:
    """Return the status of a study as one word.

    Args:
        state: State folded from its log.
        in_use: Whether its lock is held; None if this cannot be known.
        now: Unix time.
    """
    last = state.sessions[-1] if state.sessions else None
    if in_use:
        return "running"
    if last is None:
        return "new"
    if last.status != "running":
        return last.status
    silent = in_use is not None or now - last.ended_at > _SILENCE_S
    return "interrupted" if silent else "running"


def is_search_running(state: StudyState, status: StudyStatus) -> bool:
    """Return whether a study runs its search: a confirmation holds its lock, too."""
    last = state.sessions[-1] if state.sessions else None
    return status == "running" and last is not None and last.status == "running"
