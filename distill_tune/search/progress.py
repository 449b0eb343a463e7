"""What the terminal shows while a search runs: one live view, or a plain line per event."""

import math
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distill_tune.fold import fold
from distill_tune.packing import PACKING, gpu_uses, packing_words
from distill_tune.study import Study
from distill_tune.terminal import duration, trials_table
from distill_tune.trials import Event, StudyState, TrialRecord, best

if TYPE_CHECKING:
    from types import TracebackType

# Of the live view: the summary (up to three lines), the table's title and head, the cursor.
_OTHER_ROWS, _LEAST_ROWS = 8, 3


class Progress:
    """Shows a search on a console; a context manager.

    Args:
        console: A terminal gets a live view, anything else a line per event.
        study: For totals and rungs.
    """

    def __init__(self, console: Console, study: Study) -> None:
        self._console, self._study = console, study
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
        self._console.print(Text(text), soft_wrap=True)

    def listen(self, event: Event, state: StudyState) -> None:
        """Take an event of the study's log."""
        self._state = state
        if event["event"] == "trial_started":
            self._first_start = min(self._first_start, event["time"])
        line = self._line(event)
        if line and (self._live is None or event["event"] in {"stage", "warning", PACKING}):
            self.say(line)

    def stage(self, name: str, text: str) -> None:
        """Show how far a shared stage is; an empty text = it is done."""
        if text:
            self._stages[name] = text
            if self._live is None:
                self.say(f"{name}: {text}")
        else:
            self._stages.pop(name, None)

    def _line(self, event: Event) -> str:
        kind = event["event"]
        if kind == "stage":
            found = "found ready" if event["cached"] else f"in {duration(event['seconds'])}"
            return f"shared stage {event['name']}: {found}"
        if kind == "warning":
            return f"warning: {event['text']}"
        if kind == PACKING:
            return "".join(packing_words(*found) for found in gpu_uses([event]).items())
        if kind in {"trial_started", "epoch", "trial_ended"}:
            return self._trial_line(event, self._state.trials[event["trial"]])
        return ""

    def _trial_line(self, event: Event, trial: TrialRecord) -> str:
        if event["event"] == "trial_started":
            return f"{trial.name}: started  {_params(trial)}"
        if event["event"] == "epoch":
            accuracy = event["metrics"].get(self._study.search.metric, float("nan"))
            epochs = f"epoch {event['epoch']}/{self._study.max_epochs}"
            return f"{trial.name}: {epochs}  {self._study.search.metric} {accuracy:.4f}"
        value = "" if trial.value is None else f"  best {trial.value:.4f}"
        reason = f" ({event['reason']})" if event["reason"] else ""
        return f"{trial.name}: {event['status']}{reason}{value}  [{self._summary()}]"

    def _summary(self) -> str:
        over = sum(t.ended_at is not None for t in self._state.trials.values())
        parts = [f"{over}/{self._study.search.num_trials} trials"]
        for backbone in self._study.backbones:
            winner = best(self._state, backbone.name)
            if winner is not None and winner.value is not None:
                parts.append(f"best {winner.name} {winner.value:.4f}")
        parts.append(duration(time.time() - self._started))
        left = self.seconds_left()
        return ", ".join([*parts, *([f"about {duration(left)} left"] if left else [])])

    def seconds_left(self) -> float | None:
        """Return the estimated time to the end; None before this session's first trial is over."""
        ends = [t.ended_at for t in self._state.trials.values() if t.ended_at is not None]
        # An earlier session's trials tell nothing: nobody worked between the sessions.
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
        room = max(_LEAST_ROWS, self._console.height - _OTHER_ROWS - len(stages))
        latest = _latest(self._state, room)
        rows = [trials_table(latest, is_short=True)] if latest.trials else []
        return Group(head, *stages, *rows)


def _latest(state: StudyState, count: int) -> StudyState:
    """Return the state with as many trials as fit: those that run, then the newest."""
    trials = sorted(state.trials.values(), key=lambda t: (t.ended_at is None, t.number))
    shown = sorted(trials[-count:], key=lambda t: t.number)
    return StudyState({t.number: t for t in shown}, (), (), ())


def _params(trial: TrialRecord) -> str:
    values = (
        f"{path.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{path}={value}"
        for path, value in trial.params.items()
    )
    return " ".join(values)
