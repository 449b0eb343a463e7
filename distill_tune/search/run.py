"""A search from its start, or from wherever it was interrupted, to its end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from distill_tune.errors import NoTrialSucceededError, StudyError
from distill_tune.config import to_yaml
from distill_tune.interfaces import ImageData, plain
from distill_tune.records import STUDY_FILE, StudyDirectory
from distill_tune.search.cluster import RayError, Slots, cluster, slots
from distill_tune.search.journal import Journal
from distill_tune.search.outcome import write_best
from distill_tune.search.progress import Progress
from distill_tune.study import Study
from distill_tune.trials import StudyState


@dataclass
class Session:
    """One run of a search over a study.

    Attributes:
        study: As checked.
        directory: Where everything goes; created and locked by the caller.
        images: The study's data.
        progress: What the terminal shows.
        address: Of a Ray cluster, or None for this machine.
        command: As the user typed it, for the records.
    """

    study: Study
    directory: StudyDirectory
    images: ImageData
    progress: Progress
    address: str | None
    command: str
    is_time_over: bool = field(default=False, init=False)

    def run(self) -> StudyState:
        """Run until every trial is over, the time is, or the user interrupts.

        Returns:
            What the study's records then say; its last session's status tells how it ended.

        Raises:
            InputError: No cluster at the address, or no node that can hold a trial.
            NoTrialSucceededError: Every trial is over and none has a value.
        """
        with cluster(self.address):
            trial_slots = slots(self.study.resources)
            with self.directory.lock():
                journal = self._open()
                return self._session(journal, trial_slots)

    def _open(self) -> Journal:
        """Create the study, or check that it is of the same data; keep its present terms."""
        if self.directory.exists():
            _check_data(self.directory, self.images)
        else:
            self.directory.create()
        self.directory.write_text(STUDY_FILE, to_yaml(plain(self.study)))
        journal = Journal(self.directory, self.progress.listen)
        journal.emit("session_started", command=self.command)
        if not any(event["event"] == "data" for event in journal.events):
            data = self.images
            journal.emit(
                "data",
                name=data.name,
                digest=data.digest,
                classes=list(data.classes),
                num_train=len(data.train.labels),
                num_val=len(data.val.labels),
                skipped=list(data.skipped),
            )
        return journal

    def _session(self, journal: Journal, trial_slots: Slots) -> StudyState:
        _settle(journal, self.study)
        status = "failed"
        try:
            with self._time_limit(), _terminate_as_interrupt():
                self._search(journal, trial_slots)
            status = self._status(journal.state)
        except KeyboardInterrupt:
            status = self._status(journal.state)
        finally:
            journal.emit("session_ended", status=status)
            self.directory.write_tables()
        write_best(self.study, self.directory, journal.state)
        if status == "finished":
            _require_success(journal.state)
        return journal.state

    def _search(self, journal: Journal, trial_slots: Slots) -> None:
        from distill_tune.search.stage_tasks import run_stages
        from distill_tune.search.tuning import tune_trials

        if self._num_open(journal.state) == 0:
            return
        run_stages(self.study, self.images, journal, self.progress, trial_slots)
        try:
            tune_trials(self.study, self.images, journal, trial_slots)
        except RuntimeError as error:
            if self._num_open(journal.state):
                raise RayError(
                    f"Ray stopped the search: {str(error).splitlines()[0]}\n"
                    f"Go on with: distill-tune resume {self.directory.root}"
                ) from error

    def _num_open(self, state: StudyState) -> int:
        over = sum(trial.ended_at is not None for trial in state.trials.values())
        return self.study.search.num_trials - over

    def _status(self, state: StudyState) -> str:
        if self._num_open(state) <= 0:
            return "finished"
        return "time_budget" if self.is_time_over else "interrupted"

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        """Interrupt as Ctrl-C does once the session's time is over."""
        limit = self.study.search.time_budget_s
        if limit is None:
            yield
            return

        def stop() -> None:
            self.is_time_over = True
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(limit, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as a cluster's scheduler sends it, end a session as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_data(directory: StudyDirectory, images: ImageData) -> None:
    for event in directory.events():
        if event["event"] == "data" and event["digest"] != images.digest:
            raise StudyError(
                f"{directory.root}: got other images (digest {images.digest}), expected those "
                f"that the study began with (digest {event['digest']})"
            )


def _settle(journal: Journal, study: Study) -> None:
    """End the trials that a kill caught between their last report and their end.

    Such a trial has no work left: it came to its last epoch, or to a rung that it did not pass.
    """
    from distill_tune.search.tuning import make_scheduler

    scheduler = make_scheduler(study)
    scheduler.replay(journal.rung_events())
    for trial in journal.state.trials.values():
        if trial.ended_at is not None or not trial.history:
            continue
        end = partial(journal.emit, "trial_ended", trial=trial.number, detail="found at a resume")
        stops = [
            rung.epoch
            for rung in scheduler.rungs(trial.backbone)
            if trial.number in rung.verdicts and rung.verdicts[trial.number].stop
        ]
        if stops:
            end(status="pruned", reason=f"rung {stops[0]}")
        elif max(trial.history) >= study.max_epochs:
            end(status="complete", reason="")


def _require_success(state: StudyState) -> None:
    trials = list(state.trials.values())
    if any(trial.status in {"complete", "pruned"} for trial in trials):
        return
    reasons = sorted({f"{trial.reason}: {trial.detail}" for trial in trials})
    raise NoTrialSucceededError(
        "no trial succeeded:\n" + "\n".join(f"  {reason}" for reason in reasons)
    )
