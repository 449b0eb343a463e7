"""Trials taken over from other studies, as one event of a log keeps them."""

from collections.abc import Iterable, Mapping
from typing import Any

from distill_tune.records.formatting import counted
from distill_tune.records.trials import Event, StudyState, TrialRecord, top_of_one_seed

_FIELDS = ("name", "backbone", "params", "status", "reason", "detail", "started_at", "ended_at")


def continued_fields(trials: Iterable[TrialRecord]) -> list[dict[str, Any]]:
    """Return trials as plain data for the log; :func:`continued_trials` reads them back."""
    return [
        {name: getattr(trial, name) for name in _FIELDS} | {"history": trial.history}
        for trial in trials
    ]


def continued_trials(event: Event) -> tuple[TrialRecord, ...]:
    """Return the trials of an event, numbered -1, -2, ...

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The event is damaged.
    """
    return tuple(_trial(-1 - index, one) for index, one in enumerate(event["trials"]))


def _trial(number: int, one: Mapping[str, Any]) -> TrialRecord:
    history = {
        int(epoch): {str(name): float(value) for name, value in metrics.items()}
        for epoch, metrics in one["history"].items()
    }
    return TrialRecord(
        number=number,
        name=str(one["name"]),
        backbone=str(one["backbone"]),
        params=dict(one["params"]),
        status=one["status"],
        reason=str(one["reason"]),
        detail=str(one["detail"]),
        history=dict(sorted(history.items())),
        started_at=_moment(one["started_at"]),
        ended_at=_moment(one["ended_at"]),
    )


def _moment(value: Any) -> float | None:
    return None if value is None else float(value)


def continued_sentences(state: StudyState) -> tuple[str, ...]:
    """Return for each backbone how many trials of other studies count, and the best of them."""
    backbones = dict.fromkeys(trial.backbone for trial in state.continued)
    return tuple(_sentence(state, backbone) for backbone in backbones)


def _sentence(state: StudyState, backbone: str) -> str:
    own = [trial for trial in state.continued if trial.backbone == backbone]
    count = counted(len(own), "trial")
    text = f"{backbone} continues {count} of other studies, which were not run again"
    known = StudyState({trial.number: trial for trial in own}, (), (), ())
    found, ours = top_of_one_seed(known, backbone, 1), top_of_one_seed(state, backbone, 1)
    if not found or found[0].value is None:
        return text
    text += f"; the best of them, {found[0].name}, has {found[0].value:.4f}"
    if ours and ours[0].value is not None:
        is_ahead = found[0].value > ours[0].value
        text += f", {'above' if is_ahead else 'not above'} this study's {ours[0].value:.4f}"
    return text
