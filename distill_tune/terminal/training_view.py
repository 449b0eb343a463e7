"""View of a running training on the terminal: a bar per stage, or a line per report."""

import math
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from distill_tune.records.formatting import duration
from distill_tune.records.words.fitness_text import metrics_words
from distill_tune.terminal.progress_rows import stage_left
from distill_tune.terminal.waiting import Countdown, Heartbeat

if TYPE_CHECKING:
    from types import TracebackType

    from distill_tune.distill.trial import Report
    from distill_tune.training.run_times import RunTime

_TOTAL = "total"


class _Asked(ProgressColumn):
    """Column of words that are asked for whenever it is drawn, since they tell the time.

    Args:
        field: Field of a task that returns them.
        width: Least width, to which they are moved to the right.
    """

    def __init__(self, field: str, width: int = 0) -> None:
        super().__init__()
        self._field, self._width = field, width

    def render(self, task: Task) -> Text:
        return Text(task.fields[self._field]().rjust(self._width))


class TrainingView:
    """View of a running training on a console; a context manager.

    Args:
        console: A terminal gets bars. Anything else gets a line per report and, if there is none
            for a while, a line on what is going on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._time: RunTime | None = None
        self._report: Report | None = None
        self._left, self._stage_left = Countdown(), Countdown()
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=20),
            _Asked("count", 9),
            _Asked("details"),
            console=console,
            disable=not console.is_terminal,
        )
        self._heartbeat = Heartbeat(self.beat)

    def __enter__(self) -> Self:
        self._bars.start()
        self._tasks[_TOTAL] = self._bars.add_task(
            _TOTAL,
            total=None,
            count=self._passed,
            details=lambda: self._left.words() if self._report else "starting",
        )
        if not self._console.is_terminal:
            self._heartbeat.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if not self._console.is_terminal:
            self._heartbeat.__exit__(kind, error, trace)
        self._bars.remove_task(self._tasks.pop(_TOTAL))
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._heartbeat.shown()
        # As Text, because brackets in file names are not markup.
        self._console.print(Text(text), soft_wrap=True)

    def expect(self, time_left: "RunTime") -> None:
        """Show this estimate of the time left from now on."""
        self._time = time_left

    def listen(self, report: "Report") -> None:
        """Show a report."""
        left = stage_s = math.nan
        if self._time is not None:
            self._time.take(report)
            left, stage_s = self._time.seconds(), self._time.stage_s()
        self._left.set(left)
        # A countdown of its own: the bar of an earlier stage stays as it is.
        self._report, self._stage_left = report, Countdown()
        self._stage_left.set(stage_s)
        if self._console.is_terminal:
            self._show(report, self._stage_left)
        else:
            self.say(self._line(report))

    def beat(self) -> None:
        """Print what is going on."""
        now = self._line(self._report) if self._report is not None else "starting"
        self._console.print(Text(f"{now}  {self._passed()} so far"), soft_wrap=True)

    def _passed(self) -> str:
        return duration(time.monotonic() - self._began)

    def _line(self, report: "Report") -> str:
        parts = [
            f"{report.stage}: {report.step}/{report.num_steps}",
            metrics_words(report.metrics, report.metric),
        ]
        stage, whole = stage_left(report, self._stage_left), self._left.words()
        if stage and whole and report.stage != "joint":
            parts.append(f"{stage} of this stage, {whole.removesuffix(' left')} in all")
        else:
            # Stage 3 is the last one.
            parts.append(whole)
        return "  ".join(filter(None, parts))

    def _show(self, report: "Report", left: Countdown) -> None:
        shown = metrics_words(report.metrics, report.metric)

        def count() -> str:
            return f"{report.step}/{report.num_steps}"

        def details() -> str:
            return "  ".join(filter(None, [shown, stage_left(report, left)]))

        total, task = report.num_steps, self._tasks.get(report.stage)
        if task is None:
            task = self._bars.add_task(report.stage, total=total, count=count, details=details)
            self._tasks[report.stage] = task
        self._bars.update(task, completed=report.step, total=total, count=count, details=details)
