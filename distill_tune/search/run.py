"""A search from its start, or from wherever it was interrupted, to its end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from distill_tune.config import to_yaml
from distill_tune.errors import StudyError
from distill_tune.interfaces import ImageData, plain
from distill_tune.records import STUDY_FILE, StudyDirectory
from distill_tune.search.cluster import RayError, Slots, cluster, slots
from distill_tune.search.journal import Journal
from distill_tune.search.opening import check_same
from distill_tune.search.outcome import resume_command, write_best
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
            StudyError: Another search is at it, or it was begun otherwise.
        """
        with ExitStack() as stack:
            is_new = not self.directory.exists()
            if not is_new:
                # Before Ray is started: that takes seconds, and a finished study needs none.
                stack.enter_context(self.directory.lock())
                self._require_same()
                if self._num_open(self.directory.state()) <= 0:
                    return self._session(self._open(), None)
            self.progress.say(self._introduction())
            stack.enter_context(cluster(self.address))
            trial_slots = slots(self.study.resources)
            if is_new:
                stack.enter_context(self.directory.lock())
            return self._session(self._open(), trial_slots)

    def interrupted_message(self) -> str:
        """Return what to say when an interrupt came before the first trial, or after the last."""
        if not self.directory.exists():
            return "interrupted before anything was written"
        return f"interrupted; go on with:\n  {resume_command(self.directory)}"

    def _introduction(self) -> str:
        data, where = self.images, self.address or "this machine"
        return (
            f"{self.study.study}: {len(data.train.labels)} training and {len(data.val.labels)} "
            f"validation images of {data.num_classes} classes ({data.name}, "
            f"{data.channels}x{data.image_size}x{data.image_size}); starting Ray on {where}"
        )

    def _open(self) -> Journal:
        """Create the study, unless somebody did meanwhile; keep its present terms."""
        if self.directory.exists():
            self._require_same()
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
            for text in data.warnings:
                journal.emit("warning", text=text)
        return journal

    def _require_same(self) -> None:
        check_same(self.directory, self.study)
        for event in self.directory.events():
            if event["event"] == "data" and event["digest"] != self.images.digest:
                raise StudyError(
                    f"{self.directory.root}: got other images (digest {self.images.digest}), "
                    f"expected those that the study began with (digest {event['digest']})"
                )

    def _session(self, journal: Journal, trial_slots: Slots | None) -> StudyState:
        """Search, unless there are no slots because there is nothing left to do."""
        status = "failed"
        try:
            if trial_slots is not None:
                with self._time_limit(), _terminate_as_interrupt():
                    self._search(journal, trial_slots)
            status = self._status(journal.state)
        except KeyboardInterrupt:
            status = self._status(journal.state)
        finally:
            journal.emit("session_ended", status=status)
            self.directory.write_tables()
        write_best(self.study, self.directory, journal.state)
        return journal.state

    def _search(self, journal: Journal, trial_slots: Slots) -> None:
        from distill_tune.search.stage_tasks import run_stages
        from distill_tune.search.tuning import settle, tune_trials

        settle(self.study, journal)
        if self._num_open(journal.state) <= 0:
            return
        run_stages(self.study, self.images, journal, self.progress, trial_slots)
        try:
            tune_trials(self.study, self.images, journal, trial_slots)
        except RuntimeError as error:
            if self._num_open(journal.state) > 0:
                raise RayError(
                    f"Ray stopped the search: {str(error).splitlines()[0]}\n"
                    f"Go on with: {resume_command(self.directory)}"
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
