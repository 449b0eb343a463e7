"""Rows on what is being computed: shared stages and runs, each with its last report."""

from typing import TYPE_CHECKING, NamedTuple

from distill_tune.records.words.fitness_text import metrics_words
from distill_tune.terminal.waiting import Countdown

if TYPE_CHECKING:
    from distill_tune.distill.trial import Report

_MOST = 3
_STEPS = {"warmup", "triplet"}


class _Row(NamedTuple):
    progress: "Report | str"
    left: Countdown


class ProgressRows:
    """The rows, in the order in which they began."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def show(self, name: str, progress: "Report | str", seconds: float) -> bool:
        """Show the progress of a stage or run.

        Args:
            name: Which.
            progress: Its last report, or words; no words if it is over.
            seconds: Seconds to the end of its stage; ``nan`` if unknown.

        Returns:
            Whether the row shows words that it did not show before.
        """
        if not progress:
            self._rows.pop(name, None)
            return False
        before = self._rows.get(name)
        row = self._rows[name] = _Row(progress, Countdown())
        row.left.set(seconds)
        return isinstance(progress, str) and (before is None or before.progress != progress)

    def lines(self) -> list[str]:
        """Return a line per row, such as ``warmup: 250/1500  agreement 0.95  at most 40s left``."""
        # A copy: the view is drawn in a thread of its own.
        return [f"{name}: {'  '.join(_parts(row))}" for name, row in list(self._rows.items())]

    def brief(self) -> str:
        """Return the first rows in a line, without metrics."""
        rows = list(self._rows.items())
        shown = [f"{name} {', '.join(_brief_parts(row))}" for name, row in rows[:_MOST]]
        more = len(rows) - len(shown)
        return "; ".join(shown) + (f" and {more} more" if more else "")


def stage_left(report: "Report", left: Countdown) -> str:
    """Return the time to the end of a stage in words; a warm-up may end before its last step."""
    if report.step >= report.num_steps:
        return ""
    return left.words("at most" if report.stage == "warmup" else "about")


def _parts(row: _Row) -> list[str]:
    if isinstance(row.progress, str):
        return [row.progress]
    report = row.progress
    parts = [f"{report.step}/{report.num_steps}", metrics_words(report.metrics, report.metric)]
    return [part for part in (*parts, stage_left(report, row.left)) if part]


def _brief_parts(row: _Row) -> list[str]:
    if isinstance(row.progress, str):
        return [row.progress]
    report = row.progress
    units = "steps" if report.stage in _STEPS else "epochs"
    parts = [f"{report.step}/{report.num_steps} {units}", stage_left(report, row.left)]
    return [part for part in parts if part]
