"""Standing of a confirmation in a few lines: how far it is, or what it found."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from distill_tune.confirmation.evidence.findings import Confirmation, Progress
from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.records.confirm_log import ENDED, STARTED
from distill_tune.records.running import StudyStatus
from distill_tune.records.trials import Event

_SESSIONS = {"session_started", STARTED, ENDED}


class Standing(NamedTuple):
    """Standing of a confirmation.

    Attributes:
        state: ``running``, ``unfinished`` or ``finished``.
        progress: How much of it has a result; None if its log does not tell.
        verdicts: Backbone -> its verdict; empty before any result.
    """

    state: Literal["running", "unfinished", "finished"]
    progress: Progress | None
    verdicts: Mapping[str, str]

    @property
    def lines(self) -> tuple[str, ...]:
        """The standing in words: the progress, and the verdicts unless it is running."""
        far = self.progress.words if self.progress is not None else ""
        if self.state == "running":
            return (f"confirmation: {far or 'running'}",)
        head = f"confirmation: {self.state}"
        if self.state == "unfinished" and far:
            head += f", {far}"
        return (head, *verdict_lines(self.verdicts))

    @property
    def json(self) -> dict[str, Any]:
        """The standing as JSON-compatible data."""
        progress = None if self.progress is None else self.progress._asdict()
        return {"state": self.state, "progress": progress, "verdicts": dict(self.verdicts)}


def standing(events: list[Event], status: StudyStatus) -> Standing | None:
    """Return the standing of a study's confirmation; None before one.

    Args:
        events: Log of the study.
        status: Status of the study, which is also ``running`` while a confirmation is.
    """
    sessions = [event["event"] for event in events if event.get("event") in _SESSIONS]
    if STARTED not in sessions:
        return None
    found, _ = sound_confirmation(events)
    verdicts = {} if found is None else verdicts_of(found)
    progress = None if found is None else found.progress
    if status == "running" and sessions[-1] == STARTED:
        return Standing("running", progress, verdicts)
    # Logs of older versions do not tell which runs were requested.
    is_over = progress.is_over if progress is not None else sessions[-1] != STARTED
    return Standing("finished" if is_over and verdicts else "unfinished", progress, verdicts)


def verdicts_of(found: Confirmation) -> dict[str, str]:
    """Return the verdict of each backbone."""
    return {one.backbone: one.verdict for one in found.backbones}


def verdict_lines(verdicts: Mapping[str, str]) -> tuple[str, ...]:
    """Return verdicts as sentences, one per backbone."""
    return tuple(f"{backbone}: {verdict}." for backbone, verdict in verdicts.items())


def sound_confirmation(events: list[Event]) -> tuple[Confirmation | None, tuple[str, ...]]:
    """Return the results of a confirmation and why there are none in a log that makes no sense."""
    try:
        return confirmation(events), ()
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return None, (f"the confirmation's records are invalid and were skipped ({error!r})",)
