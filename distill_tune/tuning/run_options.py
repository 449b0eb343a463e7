"""Options of a search or a confirmation, and the views that show its progress."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from distill_tune.errors import InputError, Message, Parameter
from distill_tune.records.trials import Event, StudyState
from distill_tune.study.study import Study

if TYPE_CHECKING:
    from distill_tune.distill.trial import Report
    from distill_tune.tuning.time_left import RunsTimeLeft, SearchTimeLeft


class StageProgress(Protocol):
    """Receiver of the progress of shared stages."""

    def stage(self, name: str, progress: "Report | str") -> None:
        """Show the progress of a stage: its last report, or in words; no words = it is over."""


class View(StageProgress, Protocol):
    """View of the progress; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def say(self, text: str) -> None:
        """Print a line that stays."""


class SearchView(View, Protocol):
    """View of a search."""

    def expect(self, time_left: "SearchTimeLeft") -> None:
        """Take an estimate of the time left, to which the view passes all progress."""

    def listen(self, event: Event, state: StudyState) -> None:
        """Take an event of the study's log, and the state of the log after it."""


class ConfirmationView(View, Protocol):
    """View of a confirmation."""

    def listen(self, event: Event) -> None:
        """Take an event of the study's log."""

    def expect(self, count: int, time_left: "RunsTimeLeft") -> None:
        """Take the number of runs still to come, and an estimate of the time that they take."""

    def report(self, name: str, report: "Report") -> None:
        """Show the progress of a run."""

    def finished(self, name: str, text: str) -> None:
        """Show the outcome of a run."""


class Views(Protocol):
    """Views on searches and confirmations."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def search(self, study: Study) -> SearchView:
        """Return a view of a search of this study."""

    def confirmation(self) -> ConfirmationView:
        """Return a view of a confirmation."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a search or a confirmation.

    Attributes:
        command: The command as the user typed it, for the records.
        views: Where progress is shown.
        address: Address of a Ray cluster, or None for this machine.
        is_sharing: Whether stages that trials have in common are computed once for all of them.
        allow_changed: Whether to resume a study although something harmless differs from its start.
        is_again: Whether a confirmation trains and tests again what it has tested already.
        scale_to: Trials at a time to ask a cluster's autoscaler for; None: nothing is asked.

    Raises:
        InputError: There is no cluster to scale.
    """

    command: str
    views: Views
    address: str | None = None
    is_sharing: bool = True
    allow_changed: bool = False
    is_again: bool = False
    scale_to: int | None = None

    def __post_init__(self) -> None:
        if self.scale_to is not None and self.address is None:
            expected = Message(Parameter("address"), " of a cluster with an autoscaler beside it")
            raise InputError(Parameter("scale_to"), got=self.scale_to, expected=expected)


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """Options of :func:`run_stages`.

    Attributes:
        checkpoint_share: Largest share of a stage's time that its checkpoints may take.
        is_time_over: Returns whether the session's time is used up.
    """

    checkpoint_share: float
    is_time_over: Callable[[], bool] = lambda: False
