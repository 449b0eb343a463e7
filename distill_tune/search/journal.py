"""The study's event log while a search runs: one place where events are made, kept and shown."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records import StudyDirectory
from distill_tune.search.proposals import PastTrial
from distill_tune.search.scheduler import OBJECTIVE, RungEvent
from distill_tune.tracking import TensorBoard
from distill_tune.trials import Event, StudyState, fold

Listener = Callable[[Event, StudyState], None]


class Journal:
    """Appends events to a study's log and tells a listener.

    Args:
        directory: Where the log is.
        listen: Called after each event with what the log then adds up to.
    """

    def __init__(self, directory: StudyDirectory, listen: Listener) -> None:
        self.directory = directory
        self._listen = listen
        self.events: list[Event] = directory.events()

    @property
    def state(self) -> StudyState:
        """What the log adds up to."""
        return fold(self.events)

    def session_events(self) -> list[Event]:
        """Return the events of the newest session."""
        kinds = [event["event"] for event in reversed(self.events)]
        count = kinds.index("session_started") if "session_started" in kinds else len(kinds)
        return self.events[len(self.events) - count :]

    def emit(self, kind: str, **fields: Any) -> None:
        """Append an event; it is on disk when this returns."""
        event = {"event": kind, "time": time.time(), **fields}
        self.directory.append(event)
        self.events.append(event)
        self._listen(self.events[-1], self.state)

    def end_trial(self, number: int, name: str, *, status: str, reason: str, detail: str) -> None:
        """Record a trial's end: in TensorBoard first, as after the event nobody looks again."""
        board = TensorBoard(self.directory.path(f"tensorboard/{name}"))
        board.hparams_end(succeeded=status != "failed")
        board.close()
        self.emit("trial_ended", trial=number, status=status, reason=reason, detail=detail)

    def write_tables(self) -> None:
        """Write ``trials.csv`` and ``epochs.csv`` anew."""
        self.directory.write_tables()

    def rung_events(self) -> Iterable[RungEvent]:
        """Yield every report of a trial that had an objective, in the order of the log."""
        trials = self.state.trials
        for event in self.events:
            if event["event"] == "epoch" and OBJECTIVE in event["metrics"]:
                number = int(event["trial"])
                yield RungEvent(
                    number,
                    trials[number].backbone,
                    int(event["epoch"]),
                    float(event["metrics"][OBJECTIVE]),
                )

    def past_trials(self) -> list[PastTrial]:
        """Return what the sampler has to know of every trial of earlier sessions."""
        raw = {
            int(event["trial"]): event["raw"]
            for event in self.events
            if event["event"] == "trial_started"
        }
        return [
            PastTrial(
                number=trial.number,
                backbone=trial.backbone,
                raw=raw[trial.number],
                status=trial.status,
                value=trial.value,
                intermediate={
                    epoch: metrics[OBJECTIVE]
                    for epoch, metrics in trial.history.items()
                    if OBJECTIVE in metrics
                },
                infeasible=trial.reason in INFEASIBLE,
            )
            for trial in self.state.trials.values()
            if trial.number in raw
        ]
