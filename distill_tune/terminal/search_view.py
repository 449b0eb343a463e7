"""View of a running search on the terminal: a live view, or plain lines."""

import math
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distill_tune.records.formatting import counted, duration
from distill_tune.records.gpu_use import PACKING
from distill_tune.records.replay import fold
from distill_tune.records.stops import STOPPED
from distill_tune.records.trials import INTERRUPTED, Event, StudyState
from distill_tune.study.study import Study
from distill_tune.terminal.event_lines import StudyGoals, event_line, running_extras, standing
from distill_tune.terminal.progress_rows import ProgressRows
from distill_tune.terminal.study_tables import latest_trials, trials_table
from distill_tune.terminal.waiting import Countdown, Heartbeat

if TYPE_CHECKING:
    from types import TracebackType

    from distill_tune.distill.trial import Report
    from distill_tune.tuning.time_left import SearchTimeLeft

# Other rows of the live view: the summary (up to three lines), the table's title and head, the
# cursor.
_OTHER_ROWS, _LEAST_ROWS = 8, 3
# Events that are printed above the live view.
_STAYING = {"stage", "warning", PACKING, INTERRUPTED, STOPPED}


class ConsoleSearchView:
    """View of a running search on a console; a context manager.

    Args:
        console: A terminal gets a live view. Anything else gets a line per event and, if there is
            none for a while, a line on what is going on.
        study: The study, for its totals.
    """

    def __init__(self, console: Console, study: Study) -> None:
        self._console, self._study = console, study
        self._goals = StudyGoals(study.search.metric, study.search.num_trials, study.max_epochs)
        self._state = fold([])
        self._started = time.time()
        self._rows = ProgressRows()
        self._begun: set[int] = set()
        self._time_left: SearchTimeLeft | None = None
        self._left, self._is_stale = Countdown(), False
        self._live: Live | None = None
        self._heartbeat = Heartbeat(self.beat)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=2,
                transient=True,
            )
            self._live.start()
        else:
            self._heartbeat.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._live:
            self._live.stop()
        else:
            self._heartbeat.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._heartbeat.shown()
        self._console.print(Text(text), soft_wrap=not self._is_live)

    def expect(self, time_left: "SearchTimeLeft") -> None:
        """Show this estimate of the time left from now on."""
        self._time_left, self._is_stale = time_left, True

    def listen(self, event: Event, state: StudyState) -> None:
        """Handle an event of the study's log."""
        self._state, self._is_stale = state, True
        if self._time_left is not None:
            self._time_left.listen(event, state)
        if event["event"] == "trial_started":
            self._begun.add(event["trial"])
        line = self._line(event)
        if line and (not self._is_live or event["event"] in _STAYING):
            self.say(line)

    def stage(self, name: str, progress: "Report | str") -> None:
        """Show the progress of a shared stage: its last report, or words; none = it is over."""
        seconds = math.nan
        if self._time_left is not None and not isinstance(progress, str):
            seconds = self._time_left.stage_report(name, progress)
            self._is_stale = True
        elif self._time_left is not None and not progress:
            self._time_left.stage_over(name)
        if self._rows.show(name, progress, seconds) and not self._is_live:
            self.say(f"{name}: {progress}")

    def beat(self) -> None:
        """Print what is going on."""
        self._console.print(Text(f"{self._activity()}  [{self._summary()}]"), soft_wrap=True)

    def _line(self, event: Event) -> str:
        line = event_line(event, self._state, self._goals)
        is_mark = event["event"] in {"stage", "trial_ended", "extra_ended"}
        # A live view shows the summary anyway.
        return f"{line}  [{self._summary()}]" if is_mark and not self._is_live else line

    def _activity(self) -> str:
        """Return in words what is going on."""
        if self._rows:
            return self._rows.brief()
        trials = [self._state.trials[number] for number in tuple(self._begun)]
        running = sum(trial.ended_at is None for trial in trials)
        extras = running_extras(self._state, self._goals)
        if extras:
            return "; ".join([*extras, *([counted(running, "trial")] if running else [])])
        if running:
            epochs = sum(trial.epochs for trial in self._state.trials.values())
            return f"{counted(running, 'trial')} running, {counted(epochs, 'epoch')} done"
        return "finishing" if self._num_over >= self._goals.num_trials else "starting workers"

    @property
    def _is_live(self) -> bool:
        return self._console.is_terminal

    @property
    def _num_over(self) -> int:
        return sum(trial.ended_at is not None for trial in self._state.trials.values())

    def _summary(self) -> str:
        parts = [*standing(self._state, self._goals), duration(time.time() - self._started)]
        return ", ".join(filter(None, [*parts, self._words_left()]))

    def _words_left(self) -> str:
        if self._is_stale and self._time_left is not None:
            self._is_stale = False
            self._left.set(self._seconds_left(self._time_left))
        return self._left.words()

    def _seconds_left(self, time_left: "SearchTimeLeft") -> float:
        left, budget = time_left.seconds(self._state), self._study.search.time_budget_s
        return left if budget is None else min(left, self._started + budget - time.time())

    def _view(self) -> RenderableType:
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(ratio=1)
        head.add_column(justify="right")
        bar = ProgressBar(total=self._goals.num_trials, completed=self._num_over)
        head.add_row(bar, self._summary())
        extras = running_extras(self._state, self._goals)
        lines = self._rows.lines() or extras or ([] if self._begun else [self._activity()])
        num_rows = max(_LEAST_ROWS, self._console.height - _OTHER_ROWS - len(lines))
        latest = latest_trials(self._state, num_rows)
        rows = [trials_table(latest, is_short=True)] if latest.trials else []
        # The last line is empty, because a terminal prints ^C at the cursor and breaks that line.
        return Group(head, *(Text(line, style="cyan") for line in lines), *rows, "")
