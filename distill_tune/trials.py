"""What a study's events add up to: the trials, the sessions and the winner of each backbone."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from distill_tune.interfaces import Metrics, TrialStatus

Event = dict[str, Any]
SessionStatus = Literal["running", "finished", "interrupted", "time_budget", "failed"]

OBJECTIVE = "objective"
SECONDS = "seconds/"


@dataclass(frozen=True)
class TrialRecord:
    """One trial, as far as the log tells.

    Attributes:
        number: Counts from 0 within the study.
        name: Such as ``resnet50-0003``.
        params: The sampled values by dotted path.
        reason: Short name of why it failed or was pruned, else empty.
        detail: The reason in words.
        history: Epoch to metrics, in the order of epochs; a re-reported epoch replaces its row.
        started_at: Unix time of the first start; None when that line was lost.
        ended_at: Unix time of the end; None while it runs.
    """

    number: int
    name: str
    backbone: str
    params: dict[str, Any]
    status: "TrialStatus"
    reason: str
    detail: str
    history: "dict[int, Metrics]"
    started_at: float | None
    ended_at: float | None

    @property
    def epochs(self) -> int:
        """How many epochs are recorded."""
        return len(self.history)

    @cached_property
    def value(self) -> float | None:
        """The highest finite objective of any epoch; None when there is none."""
        values = (metrics.get(OBJECTIVE, math.nan) for metrics in self.history.values())
        return max(filter(math.isfinite, values), default=None)

    @property
    def metrics(self) -> "Metrics":
        """The last epoch's metrics."""
        return self.history[max(self.history)] if self.history else {}

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds spent in each of its own stages, summed over the epochs."""
        total: dict[str, float] = {}
        for metrics in self.history.values():
            for key, seconds in metrics.items():
                if key.startswith(SECONDS) and math.isfinite(seconds):
                    stage = key.removeprefix(SECONDS)
                    total[stage] = total.get(stage, 0.0) + seconds
        return total


@dataclass(frozen=True)
class StageRecord:
    """One time that a stage shared by trials was computed or found ready (``cached``).

    Attributes:
        seconds: Wall time of its computation now, 0 if it was found ready.
        cost_s: Wall time of its computation, whenever that was.
    """

    name: str
    key: str
    seconds: float
    cost_s: float
    metrics: "Metrics"
    cached: bool
    time: float


@dataclass(frozen=True)
class SessionRecord:
    """One run of the search: from its command to its end, or to its last event when killed.

    ``running`` means only that no end is recorded: the last session may have been killed, as
    earlier ones without an end (here ``interrupted``) certainly were.
    """

    command: str
    started_at: float
    ended_at: float
    status: SessionStatus


@dataclass(frozen=True)
class StudyState:
    """A whole study, folded from its log.

    Attributes:
        trials: By number, in their order.
        stages: Every time that a shared stage was needed, oldest first.
        sessions: Oldest first.
        warnings: Of the search, and of reading its log.
    """

    trials: dict[int, TrialRecord]
    stages: tuple[StageRecord, ...]
    sessions: tuple[SessionRecord, ...]
    warnings: tuple[str, ...]
    adopted: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones tried, in the order of their first trials."""
        return tuple(dict.fromkeys(trial.backbone for trial in self.trials.values()))

    @property
    def elapsed_s(self) -> float:
        """Seconds in which a search ran, all sessions together, without the gaps."""
        return sum(session.ended_at - session.started_at for session in self.sessions)


def best(state: StudyState, backbone: str) -> TrialRecord | None:
    """Return a backbone's winner: the highest value, on a tie the lower number.

    Complete trials come first; only when there is none, a pruned or a running one wins, which
    its ``status`` tells. A failed trial never does. None when no trial has a value.
    """
    rivals = [t for t in state.trials.values() if t.backbone == backbone and t.value is not None]
    complete = [trial for trial in rivals if trial.status == "complete"]
    pool = complete or [trial for trial in rivals if trial.status in {"pruned", "running"}]
    return min(pool, key=_rank, default=None)


def top(state: StudyState, backbone: str, count: int) -> list[TrialRecord]:
    """Return a backbone's best trials that are over, the winner first: complete, then pruned."""
    over = [
        trial
        for trial in state.trials.values()
        if trial.backbone == backbone and trial.value is not None
        if trial.status in {"complete", "pruned"}
    ]
    return sorted(over, key=lambda trial: (trial.status != "complete", *_rank(trial)))[:count]


def by_value(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials best first; those without a value come last; ties by number."""
    return sorted(trials, key=_rank)


def _rank(trial: TrialRecord) -> tuple[float, int]:
    return (math.inf if trial.value is None else -trial.value, trial.number)


def fold(events: Iterable[Event]) -> StudyState:
    """Add up a log's events, oldest first.

    Events of an unknown kind are passed over; one that lacks what its kind needs is passed over
    with a warning. A trial that starts anew keeps its history.
    """
    draft = _Draft()
    for position, event in enumerate(events, start=1):
        kind = event.get("event")
        try:
            draft.add(str(kind), float(event["time"]), event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            draft.warnings.append(f"event {position} ({kind}) is incomplete and was skipped")
    return draft.state()


@dataclass
class _Draft:
    """A study in the making: what ``fold`` changes event by event."""

    trials: dict[int, dict[str, Any]] = field(default_factory=dict)
    stages: list[StageRecord] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    adopted: dict[str, frozenset[int]] = field(default_factory=dict)

    def add(self, kind: str, time: float, event: Event) -> None:
        if kind == "session_started":
            self._close_session("interrupted")
            started = {"started_at": time, "ended_at": time, "status": "running"}
            self.sessions.append({"command": str(event["command"]), **started})
        elif self.sessions and self.sessions[-1]["status"] == "running":
            self.sessions[-1]["ended_at"] = max(time, self.sessions[-1]["ended_at"])
        if kind == "session_ended":
            if event["status"] not in get_args(SessionStatus):
                raise ValueError(event["status"])
            self._close_session(event["status"])
        elif kind in {"stage", "stages_adopted"}:
            self._add_to_stages(kind, time, event)
        elif kind == "warning":
            self.warnings.append(str(event["text"]))
        elif kind in {"trial_started", "epoch", "trial_ended"}:
            self._add_to_trial(kind, time, event)

    def _close_session(self, status: SessionStatus) -> None:
        if self.sessions and self.sessions[-1]["status"] == "running":
            self.sessions[-1]["status"] = status

    def _add_to_stages(self, kind: str, time: float, event: Event) -> None:
        if kind == "stages_adopted":
            for key in event["keys"]:
                trials = self.adopted.get(str(key), frozenset())
                self.adopted[str(key)] = trials | {int(event["trial"])}
            return
        stage = StageRecord(
            name=str(event["name"]),
            key=str(event["key"]),
            seconds=float(event["seconds"]),
            cost_s=float(event["cost_s"]),
            metrics=_numbers(event.get("metrics", {})),
            cached=bool(event["cached"]),
            time=time,
        )
        self.stages.append(stage)

    def _add_to_trial(self, kind: str, time: float, event: Event) -> None:
        number = int(event["trial"])
        if kind == "trial_started":
            names = {"name": str(event["name"]), "backbone": str(event["backbone"])}
            started = names | {"params": dict(event["params"])}
            trial = self._trial(number)
            trial.update(started, status="running", reason="", detail="", ended_at=None)
            trial["started_at"] = time if trial["started_at"] is None else trial["started_at"]
        elif kind == "epoch":
            row = {int(event["epoch"]): _numbers(event["metrics"])}
            self._trial(number)["history"].update(row)
        else:
            why = {name: str(event.get(name) or "") for name in ("reason", "detail")}
            self._trial(number).update(why, status=str(event["status"]), ended_at=time)

    def _trial(self, number: int) -> dict[str, Any]:
        """Return a trial's draft; a made-up one when the line of its start was lost."""
        empty: dict[str, Any] = dict.fromkeys(("reason", "detail", "backbone"), "")
        empty |= {"number": number, "name": f"trial-{number:04d}", "params": {}, "history": {}}
        empty |= {"status": "running", "started_at": None, "ended_at": None}
        return self.trials.setdefault(number, empty)

    def state(self) -> StudyState:
        trials = {}
        for number, draft in sorted(self.trials.items()):
            draft["history"] = dict(sorted(draft["history"].items()))
            trials[number] = TrialRecord(**draft)
        sessions = tuple(SessionRecord(**session) for session in self.sessions)
        return StudyState(
            trials, tuple(self.stages), sessions, tuple(self.warnings), dict(self.adopted)
        )


def _numbers(metrics: Mapping[str, Any]) -> "Metrics":
    """Return metrics as numbers; the log holds ``nan`` and ``inf`` as text."""
    return {str(name): float(value) for name, value in metrics.items()}
