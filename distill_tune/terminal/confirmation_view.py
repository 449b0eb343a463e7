"""View of a running confirmation on the terminal: a bar and its runs, or a line per run."""

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

if TYPE_CHECKING:
    from types import TracebackType


class ConsoleConfirmationView:
    """View of a running confirmation on a console; a context manager.

    Args:
        console: A terminal gets a bar and a line for each computing run, anything else a line for
            each run that is over.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("runs", total=None)
        self._now: dict[str, str] = {}
        self._live = Live(
            get_renderable=self._view, console=console, refresh_per_second=2, transient=True
        )
        self._total = self._done = 0
        self._began: float | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(text), soft_wrap=True)

    def expect(self, count: int) -> None:
        """Add to the number of expected runs."""
        self._total += count
        self._bar.update(self._task, total=self._total)

    def listen(self, event: Event) -> None:
        """Handle an event of the study's log."""
        if event["event"] == "warning":
            self.say(f"warning: {event['text']}")
        elif event["event"] == "stage":
            self.say(stage_line(event))

    def stage(self, name: str, text: str) -> None:
        """Show the progress of a shared stage; an empty text means that it is done."""
        self._show(name, text)

    def report(self, name: str, report: Report) -> None:
        """Show the progress of a run."""
        # Shared stages, which precede the runs, do not tell how long runs take.
        self._began = self._began or time.monotonic()
        self._show(name, f"{report.stage} {report.step}/{report.num_steps}")

    def finished(self, name: str, text: str) -> None:
        """Show the outcome of a run."""
        self._show(name, "")
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        left = self._seconds_left()
        rest = f", about {duration(left)} left" if left else ""
        self.say(f"{name}: {text}  [{self._done}/{self._total} runs{rest}]")

    def _show(self, name: str, text: str) -> None:
        if text:
            self._now[name] = text
        else:
            self._now.pop(name, None)

    def _view(self) -> RenderableType:
        lines = [
            Text(f"{name}: {text}", style="cyan", no_wrap=True, overflow="ellipsis")
            for name, text in self._now.items()
        ]
        # The last line is empty, because a terminal prints ^C at the cursor and breaks that line.
        return Group(self._bar, *lines, "")

    def _seconds_left(self) -> float:
        if self._began is None or not self._done:
            return 0.0
        return (self._total - self._done) * (time.monotonic() - self._began) / self._done
