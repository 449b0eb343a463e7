"""Changes of a trial's record by an event of the log."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from distill_tune.records.trials import Event, TrialRecord

if TYPE_CHECKING:
    from distill_tune.interfaces import Metrics


def unknown_trial(number: int) -> TrialRecord:
    """Return a placeholder for a trial whose start event was lost."""
    return TrialRecord(
        number=number,
        name=f"trial-{number:04d}",
        backbone="",
        params={},
        status="running",
        reason="",
        detail="",
        history={},
        started_at=None,
        ended_at=None,
    )


def _started(trial: TrialRecord, time: float, event: Event) -> TrialRecord:
    return dataclasses.replace(
        trial,
        name=str(event["name"]),
        backbone=str(event["backbone"]),
        params=dict(event["params"]),
        status="running",
        reason="",
        detail="",
        started_at=time if trial.started_at is None else trial.started_at,
        ended_at=None,
    )


def _with_epoch(trial: TrialRecord, _time: float, event: Event) -> TrialRecord:
    epoch = int(event["epoch"])
    history = {**trial.history, epoch: numbers(event["metrics"])}
    if next(reversed(history)) < max(history):
        history = dict(sorted(history.items()))
    return dataclasses.replace(trial, history=history)


def _ended(trial: TrialRecord, time: float, event: Event) -> TrialRecord:
    reason, detail = (str(event.get(name) or "") for name in ("reason", "detail"))
    status: Any = str(event["status"])
    return dataclasses.replace(trial, status=status, reason=reason, detail=detail, ended_at=time)


CHANGES: Final[Mapping[str, Callable[[TrialRecord, float, Event], TrialRecord]]] = MappingProxyType(
    {"started": _started, "epoch": _with_epoch, "ended": _ended}
)


def numbers(metrics: Mapping[str, Any]) -> "Metrics":
    """Return metrics as numbers; the log stores ``nan`` and ``inf`` as text."""
    # Thousands of epochs share the same few names; each is stored once.
    return {sys.intern(str(name)): float(value) for name, value in metrics.items()}
