"""View of a study that another process runs: redrawn in place, or a line per change."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.replay import Fold, fold
from distill_tune.records.status import StatusInfo, is_of_search, status_info
from distill_tune.records.trials import OBJECTIVE, Event, StudyState
from distill_tune.records.words.fitness_text import least_fit, stage_words
from distill_tune.terminal.event_lines import StudyGoals, event_line, goals_of, standing
from distill_tune.terminal.study_status import confirmation_lines, status_view
from distill_tune.terminal.study_tables import latest_trials, trials_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVERY_S = 2.0
_UNKNOWN = StudyGoals(OBJECTIVE, 0, 0)
# Rows of the view: trials, the rows above them plus the cursor's, warnings.
_LEAST_ROWS, _HEAD_ROWS, _WARNINGS = 3, 6, 2


def watch(
    directory: StudyDirectory, console: "Console", pause: Callable[[float], None] = time.sleep
) -> StatusInfo:
    """Show a study until its search is no longer running.

    Args:
        directory: Directory of the study.
        console: A terminal gets a view, anything else a plain line per change.
        pause: Waits the given number of seconds between two updates.

    Returns:
        The final status.

    Raises:
        StudyError: There is no study.
    """
    from rich.live import Live

    events = directory.events()
    info = status_info(directory, events)
    if not console.is_terminal:
        lines = _ChangeLines(directory, console)
        lines.begin(info)
        while info.state == "running":
            pause(EVERY_S)
            info = status_info(directory)
            lines.update(info)
        return info
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while info.state == "running":
                live.update(_view(info, events, console), refresh=True)
                pause(EVERY_S)
                events = directory.events()
                info = status_info(directory, events)
    finally:
        # Also after Ctrl-C: the view is gone by now.
        console.print(status_view(info, events))
    return info


def _view(info: StatusInfo, events: list[Event], console: "Console") -> "RenderableType":
    """Return a short status and, below it, as many trials as fit on the terminal."""
    from rich.console import Group
    from rich.text import Text

    short = info._replace(stages=(), warnings=info.warnings[-_WARNINGS:])
    status = status_view(short, events)
    stage = least_fit([one for one in info.stages if is_of_search(one.name)])
    if stage is not None:
        status = Group(status, Text(f"{stage.name}: {stage_words(stage)}"))
    taken = len(console.render_lines(status, pad=False)) + _HEAD_ROWS
    latest = latest_trials(fold(events), max(_LEAST_ROWS, console.height - taken))
    rows = [trials_table(latest, is_short=True)] if latest.trials else []
    # The last line is empty, because a terminal prints ^C at the cursor and breaks that line.
    return Group(status, *rows, "")


class _ChangeLines:
    """Printer of the events that were added to a study's log since the last update."""

    def __init__(self, directory: StudyDirectory, console: "Console") -> None:
        self._directory, self._console = directory, console
        self._fold = Fold()
        self._goals = _UNKNOWN
        self._events: list[Event] = []
        self._confirmation: tuple[str, ...] = ()

    def begin(self, info: StatusInfo) -> None:
        """Print the current status of the study."""
        for event in self._new_events():
            self._fold.add(event)
        self._say(self._summary(info))
        self._say_confirmation(info)

    def update(self, info: StatusInfo) -> None:
        """Print what has happened since the last update."""
        for event in self._new_events():
            is_stage = event["event"] == "stage"
            if self._fold.add(event) and not (is_stage and not is_of_search(event["name"])):
                self._say(event_line(event, self._state, self._goals))
        if info.state != "running":
            self._say(self._summary(info))
        self._say_confirmation(info)

    @property
    def _state(self) -> StudyState:
        return self._fold.state

    def _new_events(self) -> list[Event]:
        num_seen, self._events = len(self._events), self._directory.events()
        new = self._events[num_seen:]
        self._goals = goals_of(new) or self._goals
        return new

    def _summary(self, info: StatusInfo) -> str:
        return ", ".join([f"{info.study}: {info.state}", *standing(self._state, self._goals)])

    def _say_confirmation(self, info: StatusInfo) -> None:
        """Print where a confirmation stands, if that has changed."""
        lines = confirmation_lines(info, self._events)
        if lines != self._confirmation:
            self._confirmation = lines
            for line in lines:
                self._say(line)

    def _say(self, line: str) -> None:
        if line:
            self._console.print(line, markup=False, soft_wrap=True)
