"""How to run a search or a confirmation, and what shows its progress."""

from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from distill_tune.records.trials import Event, StudyState
from distill_tune.study.study import Study

if TYPE_CHECKING:
    from distill_tune.distill.trial import Report


class View(Protocol):
    """What shows progress; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def stage(self, name: str, text: str) -> None:
        """Show how far a shared stage is; an empty text = it is done."""


class SearchView(View, Protocol):
    """What shows a search."""

    def listen(self, event: Event, state: StudyState) -> None:
        """Take an event of the study's log, and what the log then adds up to."""


class ConfirmationView(View, Protocol):
    """What shows a confirmation."""

    def listen(self, event: Event) -> None:
        """Take an event of the study's log."""

    def expect(self, count: int) -> None:
        """Take how many more runs there will be."""

    def report(self, name: str, report: "Report") -> None:
        """Show how far a run is."""

    def finished(self, name: str, text: str) -> None:
        """Show what became of a run."""


class Views(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def search(self, study: Study) -> SearchView:
        """Return a view of a search of this study."""

    def confirmation(self) -> ConfirmationView:
        """Return a view of a confirmation."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a search or a confirmation runs.

    Attributes:
        command: As the user typed it, for the records.
        views: Where progress is shown.
        address: Of a Ray cluster, or None for this machine.
        is_sharing: Whether stages that trials have in common are computed once for all of them.
        allow_changed: Continue a study although something harmless differs from its beginning.
        is_again: Whether a confirmation trains and tests once more what it has tested already.
    """

    command: str
    views: Views
    address: str | None = None
    is_sharing: bool = True
    allow_changed: bool = False
    is_again: bool = False

    def again(self) -> "RunOptions":
        """Return the same for a confirmation that trains and tests once more."""
        return replace(self, is_again=True)
