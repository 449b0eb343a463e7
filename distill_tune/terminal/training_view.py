"""View of a running training on the terminal: a bar per stage, or a line per report."""

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from distill_tune.records.fitness_text import metrics_words
from distill_tune.records.formatting import duration

if TYPE_CHECKING:
    from types import TracebackType

    from distill_tune.distill.trial import Report

_EPOCH_STAGES = {"classifier", "joint"}


class Pace:
    """Pace of the current stage."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._last = self._units = 0
        self._seconds = 0.0

    def seconds_left(self, report: "Report") -> float | None:
        """Return the estimated time to the end of the stage; None while it is unknown."""
        if report.stage != self._stage:
            # A resumed training starts within a stage. The distance of its first report from the
            # previous one is known for epochs only.
            is_whole = self._stage is not None or report.stage in _EPOCH_STAGES
            unit = 1 if report.stage in _EPOCH_STAGES else report.step
            self._stage, self._last = report.stage, report.step - unit if is_whole else -1
            self._units, self._seconds = 0, 0.0
        if self._last >= 0:
            self._units += report.step - self._last
            self._seconds += report.seconds
        self._last = report.step
        if not self._units:
            return None
        return self._seconds / self._units * (report.num_steps - report.step)


class TrainingView:
    """View of a running training on a console; a context manager.

    Args:
        console: A terminal gets bars, anything else a line per report.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._pace = console, Pace()
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]:>9}"),
            TextColumn("{task.fields[details]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        self._show("starting", None, 0, "", "")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._forget("starting")
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        # As Text, because brackets in file names are not markup.
        self._console.print(Text(text), soft_wrap=True)

    def listen(self, report: "Report") -> None:
        """Show a report."""
        left = self._pace.seconds_left(report)
        count = f"{report.step}/{report.num_steps}"
        details = []
        words = metrics_words(report.metrics)
        if words:
            details.append(words)
        if left and report.step < report.num_steps:
            # A warm-up may end before its last step.
            bound = "at most" if report.stage == "warmup" else "about"
            details.append(f"{bound} {duration(left)} left")
        if self._console.is_terminal:
            self._forget("starting")
            self._show(report.stage, report.num_steps, report.step, count, "  ".join(details))
        else:
            line = "  ".join([f"{report.stage}: {count}", *details])
            self.say(line.replace(" left", " left of this stage"))

    def _show(
        self, stage: str, total: int | None, completed: int, count: str, details: str
    ) -> None:
        task = self._tasks.get(stage)
        if task is None:
            self._tasks[stage] = self._bars.add_task(
                stage, total=total, completed=completed, count=count, details=details
            )
        else:
            self._bars.update(task, completed=completed, count=count, details=details)

    def _forget(self, stage: str) -> None:
        task = self._tasks.pop(stage, None)
        if task is not None:
            self._bars.remove_task(task)
