"""Session of a search, from its start or its last interruption to its end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from distill_tune import __version__
from distill_tune.cluster.autoscaler import scaled
from distill_tune.cluster.machine import environment
from distill_tune.cluster.resources import Slots, cluster, slots
from distill_tune.errors import DiskFullError, StorageError, StudyError, is_disk_full
from distill_tune.interfaces import ImageData, plain
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.records.trials import StudyState
from distill_tune.study.continuing.continuation import Continuation
from distill_tune.study.continuing.source_code import running_code
from distill_tune.study.opening import check_same, resume_command
from distill_tune.study.study import Study
from distill_tune.study.validation import to_yaml
from distill_tune.training.checkpoints.folders import delete_leftovers
from distill_tune.training.checkpoints.stage_runs import delete_stage_checkpoints
from distill_tune.training.kept_models import keep_best_models
from distill_tune.tuning.extras.finalists import describe_finalists, record_finalists
from distill_tune.tuning.extras.open_runs import is_searched, num_open, open_extras
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.opening_lines import image_lines, introduction, rule_lines
from distill_tune.tuning.outcome import write_best
from distill_tune.tuning.phases import Phases
from distill_tune.tuning.run_options import RunOptions, SearchView
from distill_tune.tuning.stopping.time_budget import TimeBudget, terminate_as_interrupt


@dataclass
class Session:
    """Session of a search over a study.

    Attributes:
        study: As validated.
        directory: Where everything goes.
        images: The study's data.
        view: Shows the search.
        options: How to run.
        continuation: Trials that a new study takes over from others; None for no such trials.
    """

    study: Study
    directory: StudyDirectory
    images: ImageData
    view: SearchView
    options: RunOptions
    continuation: Continuation | None = None
    _time_budget: TimeBudget = field(init=False)
    _is_open: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._time_budget = TimeBudget(self.study.search.time_budget_s)

    def run(self) -> StudyState:
        """Run until every trial has ended, the time is up, or the user interrupts.

        Returns:
            The state of the study's records; the status of its last session tells how it ended.

        Raises:
            InputError: There is no cluster at the address, or no node that can hold a trial.
            StudyError: Another search is running, or the study was begun differently.
        """
        with ExitStack() as stack:
            is_new = not self.directory.exists()
            if not is_new:
                # Checked before Ray starts: that takes seconds, and a finished study needs no Ray.
                stack.enter_context(self.directory.lock())
                self._require_same()
                if num_open(self.study, self.directory.state()) <= 0:
                    return self._session(None)
            self.view.say(introduction(self.study.study, self.images, self.options.address))
            for line in image_lines(self.images, self.study.search.metric):
                self.view.say(line)
            # A study that is resumed has most of its shared stages already.
            is_importing = is_new and self.options.is_sharing
            stack.enter_context(cluster(self.options.address, is_importing=is_importing))
            if self.options.scale_to is not None:
                stack.enter_context(terminate_as_interrupt())
                left = self.study.search.num_trials
                if not is_new:
                    left = num_open(self.study, self.directory.state())
                count = min(self.options.scale_to, left)
                stack.enter_context(scaled(self.study.resources, count, self.view.say))
            trial_slots = slots(self.study.resources, self.study.trial.compute)
            self._check_nodes(trial_slots)
            for line in rule_lines(self.study.search.stop.limits, trial_slots.bundle):
                self.view.say(line)
            if is_new:
                stack.enter_context(self.directory.lock())
            return self._session(trial_slots)

    def _check_nodes(self, trial_slots: Slots) -> None:
        from distill_tune.cluster.node_start_checks import check_nodes

        check_nodes(self.directory, trial_slots)

    def interrupted_message(self) -> str:
        """Return the message for an interrupt before the first trial or after the last."""
        if not self.directory.exists():
            return "interrupted before anything was written"
        return f"interrupted; go on with:\n  {resume_command(self.directory)}"

    def _open(self) -> Journal:
        """Create the study, unless it was created meanwhile; write its present configuration."""
        changes: list[str] = []
        if self.directory.exists():
            changes = self._require_same()
        else:
            self.directory.create()
        damage = self.directory.repair_log()
        plain_study = plain(self.study)
        journal = Journal(self.directory, self.view.listen)
        if self.continuation is not None:
            journal.take_over(self.continuation.trials)
        journal.emit(
            "session_started",
            command=self.options.command,
            version=__version__,
            environment=environment(),
            code=running_code(),
            study=plain_study,
        )
        # After the log, which alone says what was taken over from other studies.
        self.directory.write_text(STUDY_FILE, to_yaml(plain_study))
        if damage:
            journal.warn(damage)
        for change in changes:
            journal.warn(f"resumed although changed: {change}")
        journal.record_images(self.images)
        return journal

    def _require_same(self) -> list[str]:
        changes = check_same(self.directory, self.study, allow_changed=self.options.allow_changed)
        for event in self.directory.events():
            if event["event"] == "data" and event["digest"] != self.images.digest:
                raise StudyError(
                    f"{self.directory.root}: got other images (digest {self.images.digest}), "
                    f"expected those that the study began with (digest {event['digest']})"
                )
        return changes

    def _session(self, trial_slots: Slots | None) -> StudyState:
        """Search, unless there are no slots because nothing is left to do.

        Raises:
            DiskFullError: There was no room for the records, a checkpoint or anything else.
            StorageError: The records could not be read or written.
        """
        with self._explained():
            journal = self._open()
            self._is_open = True
            try:
                status = self._search_until_stopped(journal, trial_slots)
                journal.emit("session_ended", status=status)
                self.directory.write_tables()
                write_best(self.study, self.directory, journal.state)
                describe_finalists(self.directory, journal.state)
                self._clean_up(journal.state)
            except SystemExit:
                # The reader of the output is gone.
                self._record_end(journal, "interrupted")
                raise
            except Exception:
                self._record_end(journal, "failed")
                raise
        return journal.state

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Add to an error of the storage how to go on after it."""
        try:
            yield
        except Exception as error:
            last = str(error).strip().splitlines()[-1:]
            if is_disk_full(error):
                lines = [*last, f"Make room, then {self._resume_hint()}"]
                raise DiskFullError("\n".join(lines)) from error
            is_os_error = isinstance(error, StudyError) and isinstance(error.__cause__, OSError)
            if is_os_error or isinstance(error, StorageError):
                lines = [*last, f"When the storage works again, {self._resume_hint()}"]
                raise StorageError("\n".join(lines)) from error
            raise

    def _resume_hint(self) -> str:
        with suppress(StudyError):  # If that was the failure, it fails again.
            # A study that was open may be gone; it is resumed once it is back.
            if not self._is_open and not self.directory.exists():
                return "go on with the same command"
        return f"go on with: {resume_command(self.directory)}"

    def _record_end(self, journal: Journal, status: str) -> None:
        with suppress(StudyError):  # If that was the failure, it fails again.
            journal.emit("session_ended", status=status)
            self.directory.write_tables()

    def _clean_up(self, state: StudyState) -> None:
        """Delete what is left of trials that were killed between their end and their cleanup."""
        runs = [*state.trials.values(), *(extra.run for extra in state.extras.values())]
        over = {run.name for run in runs if run.ended_at is not None}
        delete_leftovers(self.directory.root, over)
        if num_open(self.study, state) <= 0:
            delete_stage_checkpoints(self.directory.root)
        keep_best_models(self.directory, state, self.study.search.num_kept)

    def _search_until_stopped(self, journal: Journal, trial_slots: Slots | None) -> str:
        try:
            if trial_slots is not None:
                with terminate_as_interrupt():
                    self._time_budget.start()
                    self._search(journal, trial_slots)
        except KeyboardInterrupt:
            pass
        if is_searched(self.study, journal.state):
            record_finalists(self.study, journal)
        return self._status(journal.state)

    def _search(self, journal: Journal, trial_slots: Slots) -> None:
        Phases(
            study=self.study,
            images=self.images,
            journal=journal,
            view=self.view,
            slots=trial_slots,
            is_sharing=self.options.is_sharing,
            is_time_over=self._time_budget.is_over,
        ).run()

    def _status(self, state: StudyState) -> str:
        stop, num_extras = state.stop, len(open_extras(self.study, state))
        if stop is not None and (stop.is_budget or not num_extras):
            return "stopped"
        if num_open(self.study, state) <= 0:
            return "finished"
        return "time_budget" if self._time_budget.has_ended_work else "interrupted"
