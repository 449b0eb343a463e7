"""Event log of a running study: the one place where events are made, stored and shown."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from distill_tune.cluster.failures.start_failures import StartFailures
from distill_tune.interfaces import INFEASIBLE, ImageData
from distill_tune.records.continued import continued_fields
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.gpu_use import PACKING
from distill_tune.records.replay import Fold
from distill_tune.records.trials import CONTINUED, OBJECTIVE, Event, StudyState, TrialRecord
from distill_tune.records.words.metric_names import ACCURACY
from distill_tune.study.continuing.source_code import running_code
from distill_tune.study.rungs import RungEvent
from distill_tune.training.tensorboard.writer import TensorBoard
from distill_tune.tuning.sampling.costs import epoch_seconds
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import PastTrial

Listener = Callable[[Event, StudyState], None]


class Journal:
    """Writer of a study's event log, which passes each event to a listener.

    The log is read once, at the start. Only its fold is kept, and what sampler and scheduler are
    rebuilt from: an event costs the same at the start of a long search and at its end.

    Args:
        directory: Where the log is.
        listen: Called after each event with the event and the state of the log.

    Attributes:
        starts: What failed at its start since the journal was opened.
    """

    def __init__(self, directory: StudyDirectory, listen: Listener) -> None:
        self.directory = directory
        self._listen = listen
        self.starts = StartFailures()
        self._fold = Fold()
        self._kinds: set[str] = set()
        self._packing: list[Event] = []
        self._num_packing_before = 0
        self._raw: dict[int, dict[str, Raw]] = {}
        self._reports: list[tuple[int, int, float]] = []
        for event in directory.events():
            self._add(event)

    @property
    def state(self) -> StudyState:
        """The fold of the log."""
        return self._fold.state

    def has(self, kind: str) -> bool:
        """Return whether the log holds an event of that kind."""
        return kind in self._kinds

    @property
    def packing_events(self) -> list[Event]:
        """The log's events on the use of GPUs, oldest first."""
        return self._packing

    @property
    def session_packing_events(self) -> list[Event]:
        """Those of the newest session."""
        return self._packing[self._num_packing_before :]

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Append an event; it is on disk when this returns."""
        event = {"event": kind, "time": time.time(), **fields}
        self.directory.append(event)
        self._add(event)
        if kind in {"epoch", "extra_epoch"}:
            self.starts.begun()
        self._listen(event, self.state)

    def take_over(self, trials: Iterable[TrialRecord]) -> None:
        """Append trials of other studies, unless the study has trials already.

        Call it before the first session starts: a study with a session then has these trials.
        """
        if not self._kinds & {CONTINUED, "trial_started"}:
            self.emit(CONTINUED, code=running_code(), trials=continued_fields(trials))

    def record_images(self, images: ImageData) -> None:
        """Append a description of the study's images, unless there is one, and their warnings."""
        if self.has("data"):
            return
        self.emit(
            "data",
            name=images.name,
            digest=images.digest,
            classes=list(images.classes),
            num_train=len(images.train.labels),
            train_counts=images.train_counts(),
            num_val=len(images.val.labels),
            num_unlabelled=images.num_unlabelled,
            skipped=list(images.skipped),
        )
        for text in images.warnings:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Append a warning."""
        self.emit("warning", text=text)

    def tell(self, kind: str) -> None:
        """Call the listener only: the event is not for the log."""
        self._listen({"event": kind, "time": time.time()}, self.state)

    def _add(self, event: Event) -> None:
        if not self._fold.add(event):
            return
        kind = event["event"]
        self._kinds.add(kind)
        if kind == "session_started":
            self._num_packing_before = len(self._packing)
        elif kind == PACKING:
            self._packing.append(event)
        if kind == "trial_started" and "raw" in event:
            self._raw[int(event["trial"])] = event["raw"]
        elif kind == "epoch" and OBJECTIVE in event["metrics"]:
            objective = float(event["metrics"][OBJECTIVE])
            self._reports.append((int(event["trial"]), int(event["epoch"]), objective))

    def end_trial(self, number: int, name: str, *, status: str, reason: str, detail: str) -> None:
        """Record a trial's end, in TensorBoard first: its run is not opened after the event."""
        metric = self.state.metric or ACCURACY
        writer = TensorBoard(self.directory.path(f"tensorboard/{name}"), metric)
        writer.hparams_end(succeeded=status != "failed")
        writer.close()
        self.emit("trial_ended", trial=number, status=status, reason=reason, detail=detail)

    def write_tables(self) -> None:
        """Rewrite ``trials.csv`` and ``epochs.csv``."""
        self.directory.write_tables(self.state)

    def rung_events(self) -> list[RungEvent]:
        """Return every report of a trial that had an objective, in the order of the log."""
        trials = self.state.trials
        return [
            RungEvent(number, trials[number].backbone, epoch, objective)
            for number, epoch, objective in self._reports
        ]

    def past_trials(self) -> list[PastTrial]:
        """Return what the sampler must know of every trial of earlier sessions."""
        return [
            PastTrial(
                number=trial.number,
                backbone=trial.backbone,
                raw=self._raw[trial.number],
                status=trial.status,
                value=trial.value,
                intermediate={
                    epoch: metrics[OBJECTIVE]
                    for epoch, metrics in trial.history.items()
                    if OBJECTIVE in metrics
                },
                infeasible=trial.reason in INFEASIBLE,
                seconds={epoch: epoch_seconds(row) for epoch, row in trial.history.items()},
            )
            for trial in self.state.trials.values()
            if trial.number in self._raw
        ]
