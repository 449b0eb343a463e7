"""What a study's events add up to: all of them at once, or one after the other as they come."""

import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from distill_tune.records.trials import (
    Event,
    FidelityPoint,
    SessionRecord,
    SessionStatus,
    StageRecord,
    StudyState,
    TrialRecord,
)

if TYPE_CHECKING:
    from distill_tune.interfaces import Metrics


def fold(events: Iterable[Event]) -> StudyState:
    """Add up a log's events, oldest first; see :class:`Fold`."""
    study = Fold()
    for event in events:
        study.add(event)
    return study.state


class Fold:
    """A study in the making, to which events are added in the order of its log.

    Events of an unknown kind are passed over; one that lacks what its kind needs is passed over
    with a warning. A trial that starts anew keeps its history. An event costs the same however
    many were added before: of the records that it does not concern, none is made again.
    """

    def __init__(self) -> None:
        self._trials: dict[int, TrialRecord] = {}
        self._stages: list[StageRecord] = []
        self._sessions: list[SessionRecord] = []
        self._warnings: list[str] = []
        self._adopted: dict[str, set[int]] = {}
        self._num_events = 0
        self._state: StudyState | None = None

    @property
    def state(self) -> StudyState:
        """What has been added so far; events added later do not change it."""
        if self._state is None:
            self._state = StudyState(
                dict(self._trials),
                tuple(self._stages),
                tuple(self._sessions),
                tuple(self._warnings),
                {key: len(trials) for key, trials in self._adopted.items()},
            )
        return self._state

    def add(self, event: Event) -> bool:
        """Add the next event; return whether it held what its kind needs."""
        self._state = None
        self._num_events += 1
        kind = event.get("event")
        try:
            self._add(str(kind), float(event["time"]), event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            text = f"event {self._num_events} ({kind}) is incomplete and was skipped"
            self._warnings.append(text)
            return False
        return True

    def _add(self, kind: str, time: float, event: Event) -> None:
        if kind == "session_started":
            command = str(event["command"])
            self._change_session(status="interrupted")
            self._sessions.append(SessionRecord(command, time, time, "running"))
        elif self._sessions:
            self._change_session(ended_at=max(time, self._sessions[-1].ended_at))
        if kind == "session_ended":
            if event["status"] not in get_args(SessionStatus):
                raise ValueError(event["status"])
            self._change_session(status=event["status"])
        elif kind in {"stage", "stages_adopted"}:
            self._add_to_stages(kind, event)
        elif kind == "warning":
            self._warnings.append(str(event["text"]))
        elif kind in {"trial_started", "epoch", "trial_ended"}:
            self._change_trial(int(event["trial"]), kind, time, event)

    def _add_to_stages(self, kind: str, event: Event) -> None:
        if kind == "stage":
            self._stages.append(stage_record(event))
            return
        number = int(event["trial"])
        for key in event["keys"]:
            self._adopted.setdefault(str(key), set()).add(number)

    def _change_session(self, **changes: Any) -> None:
        """Change the last session, unless it is over."""
        if self._sessions and self._sessions[-1].status == "running":
            self._sessions[-1] = dataclasses.replace(self._sessions[-1], **changes)

    def _change_trial(self, number: int, kind: str, time: float, event: Event) -> None:
        trial = self._trials.get(number) or _unknown(number)
        change = {"trial_started": _started, "epoch": _with_epoch, "trial_ended": _ended}[kind]
        is_new = number not in self._trials
        is_in_order = number > next(reversed(self._trials), -math.inf)
        self._trials[number] = change(trial, time, event)
        if is_new and not is_in_order:
            self._trials = dict(sorted(self._trials.items()))


def _unknown(number: int) -> TrialRecord:
    """Return what is known of a trial when the line of its start was lost."""
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
    history = {**trial.history, epoch: _numbers(event["metrics"])}
    if next(reversed(history)) < max(history):
        history = dict(sorted(history.items()))
    return dataclasses.replace(trial, history=history)


def _ended(trial: TrialRecord, time: float, event: Event) -> TrialRecord:
    reason, detail = (str(event.get(name) or "") for name in ("reason", "detail"))
    status: Any = str(event["status"])
    return dataclasses.replace(trial, status=status, reason=reason, detail=detail, ended_at=time)


def stage_record(event: Event) -> StageRecord:
    """Return what a ``stage`` event tells; older logs lack steps and curve.

    Raises:
        KeyError: It lacks what every such event has.
        TypeError: A field is of another type.
        ValueError: A number is none.
    """
    limit = event.get("max_steps")
    return StageRecord(
        name=str(event["name"]),
        key=str(event["key"]),
        seconds=float(event["seconds"]),
        cost_s=float(event["cost_s"]),
        metrics=_numbers(event.get("metrics", {})),
        cached=bool(event["cached"]),
        time=float(event["time"]),
        steps=int(event.get("steps", 0)),
        max_steps=None if limit is None else int(limit),
        curve=tuple(
            FidelityPoint(int(row["step"]), float(row["agreement"]), float(row["diversity"]))
            for row in event.get("curve", ())
        ),
    )


def _numbers(metrics: Mapping[str, Any]) -> "Metrics":
    """Return metrics as numbers; the log holds ``nan`` and ``inf`` as text."""
    # Thousands of epochs have the same few names: each is kept once.
    return {sys.intern(str(name)): float(value) for name, value in metrics.items()}
