"""Messages about a study: a new best, a failure, an end."""

import math
from collections.abc import Iterable, Iterator

from distill_tune.confirmation.evidence.standing import (
    sound_confirmation,
    verdict_lines,
    verdicts_of,
)
from distill_tune.records.confirm_log import ENDED
from distill_tune.records.extras.quoted import quoted, quoted_values
from distill_tune.records.replay import Fold
from distill_tune.records.trials import Event, StudyState, TrialRecord, best
from distill_tune.records.words.metric_names import title
from distill_tune.report.following.destination import Notice

_WORDS = {
    "finished": "finished",
    "interrupted": "was interrupted",
    "time_budget": "used up its time budget",
    "stopped": "was stopped by a rule",
    "failed": "failed",
}


def notices(study: str, events: Iterable[Event], *, is_running: bool) -> tuple[Notice, ...]:
    """Return the messages that a log gives rise to, oldest first.

    Args:
        study: Name of the study.
        events: The log.
        is_running: Whether a search is running; if not, a session without an end was killed.
    """
    found = [*_of_events(study, events, is_running=is_running)]
    return tuple(notice._replace(text=f"{study}: {notice.text}") for notice in found)


def _of_events(study: str, events: Iterable[Event], *, is_running: bool) -> Iterator[Notice]:
    log = Fold()
    highest: dict[str, TrialRecord] = {}
    session, is_open, last = 0, False, 0.0
    seen: list[Event] = []
    for event in events:
        seen.append(event)
        if not log.add(event):
            continue
        kind, last = event["event"], event["time"]
        if kind == "session_started":
            session, is_open = session + 1, True
        elif kind == "session_ended":
            is_open = False
            yield _end(f"session/{session}", study, event["status"], last, log.state)
        elif kind == "trial_ended":
            yield from _of_trial(log.state, int(event["trial"]), highest)
        elif kind == ENDED:
            yield _confirmation_end(study, seen)
    if is_open and not is_running and session:
        state = log.state
        name = f"session/{session}/killed"
        yield _end(name, study, "interrupted", last, state, "was killed")


def _confirmation_end(study: str, events: list[Event]) -> Notice:
    """Return the message about the last event, the end of a confirmation."""
    found, _ = sound_confirmation(events)
    verdicts = {} if found is None else verdicts_of(found)
    fields = {"study": study, "reading": events[-1].get("reading"), "verdicts": verdicts}
    said = " ".join(verdict_lines(verdicts))
    text = f"the confirmation ended{'; ' if said else ''}{said}"
    time = events[-1]["time"]
    return Notice(f"confirmation/{time!r}", "confirmation_ended", text, time, fields)


def _end(
    name: str, study: str, status: str, time: float, state: StudyState, words: str = ""
) -> Notice:
    winners = {name: best(state, name) for name in state.backbones}
    found = {
        name: {"trial": trial.name, **quoted(state, trial)._asdict()}
        for name, trial in winners.items()
        if trial is not None
    }
    over = sum(trial.ended_at is not None for trial in state.trials.values())
    quotes = quoted_values(state)
    bests = [
        f"best {_with_value(one['trial'], quotes[name].sentence, state.metric)}"
        for name, one in found.items()
    ]
    text = ", ".join([f"the search {words or _WORDS[status]}", f"{over} trials over", *bests])
    fields = {"study": study, "status": status, "metric": state.metric, "best": found}
    return Notice(name, "search_ended", text, time, fields)


def _with_value(name: str, value: str, metric: str) -> str:
    """Return ``resnet50-0003: macro F1 0.8120``, without a metric ``resnet50-0003 0.8120``."""
    return f"{name}: {title(metric)} {value}" if metric else f"{name} {value}"


def _of_trial(state: StudyState, number: int, highest: dict[str, TrialRecord]) -> Iterator[Notice]:
    """Yield the failure of a trial, or that it is the best complete trial of its backbone."""
    trial = state.trials[number]
    fields = {"trial": trial.name, "backbone": trial.backbone, "value": trial.value}
    fields |= {"metric": state.metric}
    time = trial.ended_at or 0.0
    if trial.status == "failed":
        detail = f": {trial.detail}" if trial.detail else ""
        text = f"trial {trial.name} failed ({trial.reason or 'error'}){detail}"
        reason = {"reason": trial.reason}
        yield Notice(f"{trial.name}/failed", "trial_failed", text, time, fields | reason)
        return
    before = highest.get(trial.backbone)
    lead = -math.inf if before is None or before.value is None else before.value
    if trial.status == "complete" and trial.value is not None and trial.value > lead:
        highest[trial.backbone] = trial
        text = f"new best, {_with_value(trial.name, f'{trial.value:.4f}', state.metric)}"
        text += f" (before: {before.name} {lead:.4f})" if before is not None else ""
        yield Notice(f"{trial.name}/best", "new_best", text, time, fields)


def without_outdated(pending: Iterable[Notice]) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
    """Return the messages to send, and those of a new best that a later one has overtaken."""
    found = list(pending)
    newest = {one.fields["backbone"]: one.id for one in found if one.kind == "new_best"}
    is_new = [one.kind != "new_best" or newest[one.fields["backbone"]] == one.id for one in found]
    kept = tuple(one for one, new in zip(found, is_new, strict=True) if new)
    return kept, tuple(one for one, new in zip(found, is_new, strict=True) if not new)
