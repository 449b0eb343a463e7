"""Folding of a study's events into its state: all at once, or one by one."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, get_args

from distill_tune.records.continued import continued_trials
from distill_tune.records.extras.finalists import Finalist, FinalistPlan, ranking
from distill_tune.records.extras.runs import ExtraRecord
from distill_tune.records.running import CONFIRM_STARTED
from distill_tune.records.stops import STOPPED, Stop
from distill_tune.records.trial_changes import CHANGES, numbers, unknown_trial
from distill_tune.records.trials import (
    CONTINUED,
    FINALISTS,
    Event,
    FidelityPoint,
    SessionRecord,
    SessionStatus,
    StageRecord,
    StudyState,
    TrialRecord,
)
from distill_tune.records.words.metric_names import recorded_metric


def fold(events: Iterable[Event]) -> StudyState:
    """Fold a log's events, oldest first; see :class:`Fold`."""
    study = Fold()
    for event in events:
        study.add(event)
    return study.state


class Fold:
    """An incremental fold of a study's events, added in the order of its log.

    Events of an unknown kind are ignored; an incomplete one is skipped with a warning. A trial that
    is started again keeps its history. The cost of an event does not depend on how many were added
    before: records that it does not concern are not rebuilt.
    """

    def __init__(self) -> None:
        self._trials: dict[int, TrialRecord] = {}
        self._stages: list[StageRecord] = []
        self._sessions: list[SessionRecord] = []
        self._warnings: list[str] = []
        self._adopted: dict[str, set[int]] = {}
        self._extras: dict[str, ExtraRecord] = {}
        self._plans: dict[str, FinalistPlan] = {}
        self._finalists: dict[str, tuple[Finalist, ...]] = {}
        self._continued: tuple[TrialRecord, ...] = ()
        self._stops: list[Stop] = []
        self._stop: Stop | None = None
        self._metric = ""
        self._num_events = 0
        self._state: StudyState | None = None

    @property
    def state(self) -> StudyState:
        """The state so far; events added later do not change it."""
        if self._state is None:
            self._state = StudyState(
                dict(self._trials),
                tuple(self._stages),
                tuple(self._sessions),
                tuple(self._warnings),
                {key: len(trials) for key, trials in self._adopted.items()},
                dict(self._extras),
                dict(self._finalists),
                self._continued,
                tuple(self._stops),
                self._stop,
                self._metric,
            )
        return self._state

    def add(self, event: Event) -> bool:
        """Add the next event; return whether it was complete."""
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
        self._add_to_sessions(kind, time, event)
        if kind in {"stage", "stages_adopted"}:
            self._add_to_stages(kind, event)
        elif kind == CONTINUED:
            self._continued = continued_trials(event)
        elif kind == "warning":
            self._warnings.append(str(event["text"]))
        elif kind in {"trial_started", "epoch", "trial_ended"}:
            self._change_trial(int(event["trial"]), kind, time, event)
        elif kind in {"extra_started", "extra_epoch", "extra_ended"}:
            self._change_extra(kind.removeprefix("extra_"), time, event)
        elif kind == FINALISTS:
            self._plans[str(event["backbone"])] = FinalistPlan.of(event)
        if kind in {FINALISTS, "extra_ended"}:
            self._rank_finalists()

    def _add_to_sessions(self, kind: str, time: float, event: Event) -> None:
        if kind == "session_started":
            command = str(event["command"])
            self._change_session(status="interrupted")
            self._stop = None
            self._metric = recorded_metric(event.get("study"))
            self._sessions.append(SessionRecord(command, time, time, "running"))
        elif kind == CONFIRM_STARTED:
            # A confirmation begins after a search, which was killed if no end is recorded.
            self._change_session(status="interrupted")
        elif self._sessions:
            self._change_session(ended_at=max(time, self._sessions[-1].ended_at))
        if kind == STOPPED:
            self._stop = Stop.of(event)
            self._stops.append(self._stop)
        if kind == "session_ended":
            if event["status"] not in get_args(SessionStatus):
                raise ValueError(event["status"])
            self._change_session(status=event["status"])

    def _add_to_stages(self, kind: str, event: Event) -> None:
        if kind == "stage":
            self._stages.append(stage_record(event))
            return
        number = int(event["trial"])
        for key in event["keys"]:
            self._adopted.setdefault(str(key), set()).add(number)

    def _change_session(self, **changes: Any) -> None:
        """Change the last session, unless it has ended."""
        if self._sessions and self._sessions[-1].status == "running":
            self._sessions[-1] = dataclasses.replace(self._sessions[-1], **changes)

    def _change_trial(self, number: int, kind: str, time: float, event: Event) -> None:
        trial = self._trials.get(number) or unknown_trial(number)
        change = CHANGES[kind.removeprefix("trial_")]
        is_new = number not in self._trials
        is_in_order = number > next(reversed(self._trials), -math.inf)
        self._trials[number] = change(trial, time, event)
        if is_new and not is_in_order:
            self._trials = dict(sorted(self._trials.items()))

        if kind == "trial_ended":
            # It may be better than the finalists, which are chosen anew.
            self._plans.pop(self._trials[number].backbone, None)
            self._rank_finalists()

    def _rank_finalists(self) -> None:
        extras = list(self._extras.values())
        ranked = {name: ranking(plan, self._trials, extras) for name, plan in self._plans.items()}
        self._finalists = {name: found for name, found in ranked.items() if found}

    def _change_extra(self, kind: str, time: float, event: Event) -> None:
        name = str(event["name"])
        known = self._extras.get(name)
        if kind == "started":
            known = ExtraRecord(
                kind=str(event["kind"]),
                arm=str(event["arm"]),
                words=str(event["words"]),
                seed=int(event["seed"]),
                trial=None if event["trial"] is None else int(event["trial"]),
                run=unknown_trial(-1) if known is None else known.run,
            )
        if known is None:
            raise KeyError(name)
        changed = CHANGES[kind](known.run, time, event)
        self._extras[name] = dataclasses.replace(known, run=changed)


def stage_record(event: Event) -> StageRecord:
    """Return the record of a ``stage`` event; older logs lack steps and curve.

    Raises:
        KeyError: A required field is missing.
        TypeError: A field has the wrong type.
        ValueError: A number is invalid.
    """
    limit = event.get("max_steps")
    return StageRecord(
        name=str(event["name"]),
        key=str(event["key"]),
        seconds=float(event["seconds"]),
        cost_s=float(event["cost_s"]),
        metrics=numbers(event.get("metrics", {})),
        cached=bool(event["cached"]),
        time=float(event["time"]),
        steps=int(event.get("steps", 0)),
        max_steps=None if limit is None else int(limit),
        curve=tuple(
            FidelityPoint(int(row["step"]), float(row["agreement"]), float(row["diversity"]))
            for row in event.get("curve", ())
        ),
    )
