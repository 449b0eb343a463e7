"""Following of a study by a process of its own, which only reads the study."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from distill_tune.errors import DistillTuneError, FollowError, one_line
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.replay import fold
from distill_tune.records.running import StudyStatus, is_search_running, study_status
from distill_tune.records.trials import Event
from distill_tune.report.following import open_destination
from distill_tune.report.following.destination import (
    Destination,
    FollowedRun,
    StudyIdentity,
    identity,
)
from distill_tune.report.following.memory import Memory
from distill_tune.report.following.notices import notices, without_outdated
from distill_tune.report.following.runs import followed_runs

EVERY_S = 10.0
_PAUSES_S = (1.0, 4.0, 15.0)
"""Seconds before each repetition of something that could not be sent."""


class FollowOptions(NamedTuple):
    """Options of following a study.

    Attributes:
        to: The destination, such as ``mlflow`` or ``webhook=URL``.
        is_once: Send what there is and end, even if a search is running.
        memory: Folder or URI that remembers what was sent; None: ``follow/`` in the study.
        say: Called with a line about progress or an error.
        pause: Waits the given number of seconds.
    """

    to: str
    is_once: bool = False
    memory: str | None = None
    say: Callable[[str], None] = print
    pause: Callable[[float], None] = time.sleep


class Followed(NamedTuple):
    """Summary of what was sent.

    Attributes:
        to: The destination in words.
        status: Status of the study.
        num_runs: Runs of which something was sent.
        num_epochs: Epochs that were sent.
        num_notices: Messages that were sent.
    """

    to: str
    status: StudyStatus
    num_runs: int = 0
    num_epochs: int = 0
    num_notices: int = 0

    @property
    def words(self) -> str:
        """The numbers in words."""
        sent = f"{self.num_runs} runs, {self.num_epochs} epochs, {self.num_notices} messages"
        return f"sent to {self.to}: {sent}"


def follow(directory: StudyDirectory, options: FollowOptions) -> Followed:
    """Send what a study's log records, and was not sent before, until no search is running.

    Raises:
        InputError: The destination is invalid.
        StudyError: There is no study, or its memory cannot be written.
        FollowError: Something could not be sent; the same call sends the rest.
        DistillTuneError: The tracker's package is not installed.
    """
    directory.require()
    study = identity(directory, directory.events())
    place = open_destination(options.to, study)
    following = _Following(directory, study, place, options)
    with Memory(directory, study, place.address, options.memory).opened() as memory:
        try:
            done = following.until_the_end(memory)
        except BaseException:
            with suppress(Exception):
                place.close()
            raise
        try:
            place.close()
        except Exception as error:
            raise FollowError(f"{place.title}: not all has arrived ({error})") from error
    return done


class _Following:
    def __init__(
        self,
        directory: StudyDirectory,
        study: StudyIdentity,
        place: Destination,
        options: FollowOptions,
    ) -> None:
        self._directory, self._study = directory, study
        self._place, self._options = place, options
        self._runs: set[str] = set()
        self._num_epochs = self._num_notices = 0

    def until_the_end(self, memory: Memory) -> Followed:
        while True:
            # The status comes first: a search that has ended by then adds nothing to the log.
            status, is_running = self._status()
            error = self._send(self._directory.events(), memory, is_running=is_running)
            if self._options.is_once or status != "running":
                break
            if error:
                self._options.say(f"{error}; trying again")
            self._options.pause(EVERY_S)
        if error:
            raise FollowError(f"{error}; the same command sends the rest")
        return Followed(
            self._place.title, status, len(self._runs), self._num_epochs, self._num_notices
        )

    def _status(self) -> tuple[StudyStatus, bool]:
        """Return the status of the study, and whether it is its search that runs."""
        state = fold(self._directory.events())
        status = study_status(state, self._directory.in_use(), time.time())
        return status, is_search_running(state, status)

    def _send(self, events: list[Event], memory: Memory, *, is_running: bool) -> str:
        """Send everything that is new, in order; return why it stopped, or an empty text."""
        # An action is remembered when the next one is asked for, so only if it succeeded.
        for action in self._actions(events, memory, is_running=is_running):
            error = self._patiently(action)
            if error:
                return f"{self._place.title}: not sent ({error})"
        return ""

    def _actions(
        self, events: list[Event], memory: Memory, *, is_running: bool
    ) -> Iterator[Callable[[], None]]:
        if self._place.takes == "runs":
            runs = followed_runs(events, is_running=is_running)
            yield from self._runs_of(filter(None, map(memory.rest_of, runs)), memory)
            return
        found = notices(self._study.name, events, is_running=is_running)
        pending, outdated = without_outdated(one for one in found if not memory.has(one))
        for one in outdated:
            memory.add_notice(one)
        for one in pending:
            yield partial(self._place.send_notice, one)
            memory.add_notice(one)
            self._num_notices += 1

    def _runs_of(self, runs: Iterable[FollowedRun], memory: Memory) -> Iterator[Callable[[], None]]:
        for run in runs:
            yield partial(self._place.send_run, run)
            memory.add_run(run)
            self._runs.add(run.name)
            self._num_epochs += len(run.rows)

    def _patiently(self, action: Callable[[], None]) -> str:
        """Try several times; return the last error, or an empty text."""
        error = ""
        for pause in (*_PAUSES_S, None):
            try:
                action()
            except DistillTuneError:
                raise
            except Exception as found:  # noqa: BLE001 - a tracker may raise anything
                error = one_line(str(found) or repr(found))
            else:
                return ""
            if pause is not None:
                self._options.pause(pause)
        return error
