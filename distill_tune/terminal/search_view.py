"""View of a running search on the terminal: a live view, or a plain line per event."""

import math
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distill_tune.records.formatting import duration
from distill_tune.records.gpu_use import PACKING
from distill_tune.records.replay import fold
from distill_tune.records.trials import INTERRUPTED, Event, StudyState
from distill_tune.study.study import Study
from distill_tune.terminal.event_lines import StudyGoals, event_line, standing
from distill_tune.terminal.study_tables import latest_trials, trials_table

if TYPE_CHECKING:
    from types import TracebackType

# Other rows of the live view: the summary (up to three lines), the table's title and head, the
# cursor.
_OTHER_ROWS, _LEAST_ROWS = 8, 3
# Events that are printed above the live view.
_STAYING = {"stage", "warning", PACKING, INTERRUPTED}


class ConsoleSearchView:
    """View of a running search on a console; a context manager.

    Args:
        console: A terminal gets a live view, anything else a line per event.
        study: The study, for its totals.
    """

    def __init__(self, console: Console, study: Study) -> None:
        self._console, self._study = console, study
        self._goals = StudyGoals(study.search.metric, study.search.num_trials, study.max_epochs)
        self._state = fold([])
        self._started = time.time()
        self._stages: dict[str, str] = {}
        self._first_start = math.inf
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=2,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(text), soft_wrap=not self._console.is_terminal)

    def listen(self, event: Event, state: StudyState) -> None:
        """Handle an event of the study's log."""
        self._state = state
        if event["event"] == "trial_started":
            self._first_start = min(self._first_start, event["time"])
        line = self._line(event)
        if line and (self._live is None or event["event"] in _STAYING):
            self.say(line)

    def stage(self, name: str, text: str) -> None:
        """Show the progress of a shared stage; an empty text means that it is done."""
        if text:
            self._stages[name] = text
            if self._live is None:
                self.say(f"{name}: {text}")
        else:
            self._stages.pop(name, None)

    def _line(self, event: Event) -> str:
        line = event_line(event, self._state, self._goals)
        return f"{line}  [{self._summary()}]" if event["event"] == "trial_ended" else line

    def _summary(self) -> str:
        parts = [*standing(self._state, self._goals), duration(time.time() - self._started)]
        left = self.seconds_left()
        return ", ".join([*parts, *([f"about {duration(left)} left"] if left else [])])

    def seconds_left(self) -> float | None:
        """Return the estimated time to the end; None before this session's first trial is over."""
        ends = [t.ended_at for t in self._state.trials.values() if t.ended_at is not None]
        # Trials of earlier sessions do not count: nothing ran between the sessions.
        now = [end for end in ends if end >= self._first_start]
        if not now:
            return None
        rest = self._study.search.num_trials - len(ends)
        return rest * (max(now) - self._first_start) / len(now)

    def _view(self) -> RenderableType:
        over = sum(t.ended_at is not None for t in self._state.trials.values())
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(ratio=1)
        head.add_column(justify="right")
        head.add_row(
            ProgressBar(total=self._study.search.num_trials, completed=over), self._summary()
        )
        stages = [Text(f"{name}: {text}", style="cyan") for name, text in self._stages.items()]
        num_rows = max(_LEAST_ROWS, self._console.height - _OTHER_ROWS - len(stages))
        latest = latest_trials(self._state, num_rows)
        rows = [trials_table(latest, is_short=True)] if latest.trials else []
        # The last line is empty, because a terminal prints ^C at the cursor and breaks that line.
        return Group(head, *stages, *rows, "")
