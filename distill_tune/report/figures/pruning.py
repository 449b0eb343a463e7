"""Safety of pruning: how well the order of trials at each epoch predicts their final order."""

import math
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.confirmation.evidence.ranks import LEAST, Agreement, agreement, agreement_words
from distill_tune.records.trials import OBJECTIVE, TrialRecord
from distill_tune.report.axes import Axis, axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source

TITLE = "Is pruning safe here?"

SAFE = 0.5
"""Pruning counts as safe from the epoch on at which the lower end of the interval stays above this
value: the order there is then closer to the final one than to chance, and not by chance."""

_MOST_EPOCHS = 40


class Foresight(NamedTuple):
    """Predictive power of an epoch before the last.

    Attributes:
        is_rung: Whether trials are compared at this epoch.
        agreement: Agreement of the best values up to the epoch with the final ones.
        is_best_kept: Whether a rung here would have kept the trial that is best in the end.
    """

    epoch: int
    is_rung: bool
    agreement: Agreement
    is_best_kept: bool


class Pruning(NamedTuple):
    """Consequences of pruning a backbone's trials at each epoch.

    Attributes:
        num_complete: Number of trials that reached the last epoch; only they have a final value.
        num_pruned: Number of pruned trials, whose final values are unknown.
        rows: Epochs, ascending; empty for fewer than ``LEAST`` complete trials.
        first: The first rung.
    """

    num_complete: int
    num_pruned: int
    rows: tuple[Foresight, ...]
    first: int | None

    @property
    def safe_from(self) -> int | None:
        """The first epoch from which on pruning counts as safe; None if that is not shown."""
        epoch = None
        for row in reversed(self.rows):
            if row.agreement.low is None or row.agreement.low < SAFE:
                break
            epoch = row.epoch
        return epoch


def info(source: Source, backbone: str) -> Pruning | None:
    """Compare the orders of a backbone's complete trials; None if none is complete or pruned."""
    trials = source.trials(backbone)
    complete = [t for t in trials if t.status == "complete" and t.value is not None]
    num_pruned = sum(trial.status == "pruned" for trial in trials)
    if not complete and not num_pruned:
        return None
    rungs = source.plan.rungs
    rows = tuple(_rows(complete, rungs, _factor(source))) if len(complete) >= LEAST else ()
    return Pruning(len(complete), num_pruned, rows, rungs[0] if rungs else None)


def _factor(source: Source) -> float:
    return max(1.01, source.plan.number("search.reduction_factor") or 3.0)


def _rows(complete: list[TrialRecord], rungs: tuple[int, ...], factor: float) -> list[Foresight]:
    final = [trial.value or 0.0 for trial in complete]
    winner = final.index(max(final))
    last = max(max(trial.history) for trial in complete)
    every = max(1, last // _MOST_EPOCHS)
    rows = []
    for epoch in sorted({*range(every, last, every), *(rung for rung in rungs if rung < last)}):
        values = [_best_until(trial, epoch) for trial in complete]
        if all(map(math.isfinite, values)):
            num_better = sum(value > values[winner] for value in values)
            is_kept = num_better < max(1.0, len(values) / factor)
            found = agreement(values, final)
            rows.append(Foresight(epoch, epoch in rungs, found, is_kept))
    return rows


def _best_until(trial: TrialRecord, epoch: int) -> float:
    """Return the value by which a trial is compared at an epoch: its best value until then."""
    values = (m.get(OBJECTIVE, math.nan) for e, m in trial.history.items() if e <= epoch)
    return max(filter(math.isfinite, values), default=math.nan)


def draw(found: Pruning) -> Markup:
    """Draw the rank correlation over the epochs with its intervals; rungs are dashed lines."""
    rows = [row for row in found.rows if row.agreement.rho is not None]
    if not rows:
        return Markup()
    across = axis_covering("epoch of stage 3", [row.epoch for row in rows], is_whole=True)
    panel = Panel(across, Axis("rank correlation with the final order", -1.0, 1.0))
    for row in rows:
        if row.is_rung:
            panel.upright(row.epoch, "rung")
        panel.whisker(row.epoch, row.agreement.low, row.agreement.high)
    panel.line([(row.epoch, row.agreement.rho) for row in rows], "lead")
    tips = (agreement_words(row.agreement) for row in rows)
    panel.dots(
        Dot(row.epoch, row.agreement.rho, "complete", f"epoch {row.epoch}: {tip}")
        for row, tip in zip(rows, tips, strict=True)
    )
    return panels([panel])


def words(found: Pruning) -> str:
    """Return in words what the figure shows, and what it cannot show."""
    caveat = (
        " Only complete trials are compared: the final values of pruned ones "
        f"(n = {found.num_pruned}) are unknown."
    )
    caveat = caveat if found.num_pruned else ""
    if not found.rows:
        count = found.num_complete
        return f"Too few complete trials: n = {count}, at least {LEAST} are needed.{caveat}"
    texts = [_row_words(row) for row in found.rows if row.is_rung]
    return " ".join([*texts, _advice(found)]) + caveat


def _row_words(row: Foresight) -> str:
    kept = "would have continued" if row.is_best_kept else "would have been pruned there"
    return (
        f"Rung at epoch {row.epoch}: {agreement_words(row.agreement)}; among complete trials "
        f"alone, the one that is best in the end {kept}."
    )


def _advice(found: Pruning) -> str:
    if all(row.agreement.low is None for row in found.rows):
        return "Without an interval, nothing can be said about whether pruning is safe here."
    if found.safe_from is None:
        return (
            f"The interval does not stay above {SAFE} from any epoch on: pruning is not shown to "
            "be safe here."
        )
    text = f"From epoch {found.safe_from} on the interval stays above {SAFE}: "
    if found.first is not None and found.safe_from <= found.first:
        return f"{text}pruning from epoch {found.first} on, as in this search, looks safe."
    return f"{text}min_epochs: {found.safe_from} would have been safe."
