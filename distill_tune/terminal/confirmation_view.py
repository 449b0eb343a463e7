"""View of a running confirmation on the terminal: a bar and its runs, or plain lines."""

import math
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from distill_tune.distill.trial import Report
from distill_tune.records.formatting import duration
from distill_tune.records.trials import Event
from distill_tune.terminal.event_lines import stage_line
from distill_tune.terminal.progress_rows import ProgressRows
from distill_tune.terminal.waiting import Countdown, Heartbeat

if TYPE_CHECKING:
    from types import TracebackType

    from distill_tune.tuning.time_left import RunsTimeLeft


class ConsoleConfirmationView:
    """View of a running confirmation on a console; a context manager.

    Args:
        console: A terminal gets a bar and a line for each computing run. Anything else gets a line
            for each run that is over and, if there is none for a while, a line on what is going on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("runs", total=None)
        self._rows = ProgressRows()
        self._total = self._done = 0
        self._began = time.monotonic()
        self._time_left: RunsTimeLeft | None = None
        self._left, self._is_stale = Countdown(), False
        self._heartbeat = Heartbeat(self.beat)
        self._live = Live(
            get_renderable=self._view, console=console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
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
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._heartbeat.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._heartbeat.shown()
        self._console.print(Text(text), soft_wrap=True)

    def expect(self, count: int, time_left: "RunsTimeLeft | None" = None) -> None:
        """Add to the number of expected runs; show this estimate of the time left from now on."""
        self._total += count
        self._bar.update(self._task, total=self._total)
        self._time_left, self._is_stale = time_left, True

    def listen(self, event: Event) -> None:
        """Handle an event of the study's log."""
        if event["event"] == "warning":
            self.say(f"warning: {event['text']}")
        elif event["event"] == "stage":
            if self._time_left is not None:
                self._time_left.stage_event(event)
                self._is_stale = True
            self.say(stage_line(event))

    def stage(self, name: str, progress: Report | str) -> None:
        """Show the progress of a shared stage: its last report, or words; none = it is over."""
        seconds = math.nan
        if self._time_left is not None and isinstance(progress, Report):
            seconds = self._time_left.stage_report(name, progress)
            self._is_stale = True
        elif self._time_left is not None and not progress:
            self._time_left.stage_over(name)
        self._rows.show(name, progress, seconds)

    def report(self, name: str, report: Report) -> None:
        """Show the progress of a run."""
        if self._time_left is not None:
            self._time_left.run_report(name, report)
            self._is_stale = True
        self._rows.show(name, f"{report.stage} {report.step}/{report.num_steps}", math.nan)

    def finished(self, name: str, text: str) -> None:
        """Show the outcome of a run."""
        self._rows.show(name, "", math.nan)
        if self._time_left is not None:
            self._time_left.run_over(name)
            self._is_stale = True
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        self.say(f"{name}: {text}  [{self._summary()}]")

    def beat(self) -> None:
        """Print what is going on."""
        begins = "starting workers" if self._done < self._total else "starting"
        activity = self._rows.brief() or begins
        passed = duration(time.monotonic() - self._began)
        self._console.print(Text(f"{activity}  [{self._summary(passed)}]"), soft_wrap=True)

    def _summary(self, *more: str) -> str:
        runs = [f"{self._done}/{self._total} runs"] if self._total else []
        return ", ".join(filter(None, [*runs, *more, self._words_left()]))

    def _words_left(self) -> str:
        if self._is_stale and self._time_left is not None:
            self._is_stale = False
            self._left.set(self._time_left.seconds())
        return self._left.words()

    def _view(self) -> RenderableType:
        lines = [*self._rows.lines(), *filter(None, [self._words_left()])]
        texts = [Text(line, style="cyan", no_wrap=True, overflow="ellipsis") for line in lines]
        # The last line is empty, because a terminal prints ^C at the cursor and breaks that line.
        return Group(self._bar, *texts, "")
