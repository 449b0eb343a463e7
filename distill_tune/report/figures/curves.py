"""Learning curves of the trials over the epochs of stage 3, with the rungs."""

import math
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.trials import OBJECTIVE
from distill_tune.report.axes import axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source

TITLE = "Learning curves"


class Curve(NamedTuple):
    """Learning curve of a trial.

    Attributes:
        outcome: ``complete``, ``pruned``, ``failed``, ``running`` or ``interrupted``.
        is_best: Whether it is the winner.
        points: Epochs and the metric after each, finite.
    """

    number: int
    outcome: str
    is_best: bool
    points: tuple[tuple[int, float], ...]


class Curves(NamedTuple):
    """Learning curves of a backbone's trials.

    Attributes:
        metric: Metric in words.
        rungs: Epochs at which trials are compared.
    """

    metric: str
    rungs: tuple[int, ...]
    curves: tuple[Curve, ...]


def info(source: Source, backbone: str) -> Curves | None:
    """Return the curves of a backbone; None before the first epoch."""
    winner, name = source.best(backbone), source.plan.metric
    curves = []
    for trial in source.trials(backbone):
        # The objective is the best value so far; the metric itself shows more.
        rows = ((e, m.get(name, m.get(OBJECTIVE, math.nan))) for e, m in trial.history.items())
        points = tuple((epoch, value) for epoch, value in rows if math.isfinite(value))
        is_best = winner is not None and trial.number == winner.number
        if points:
            curves.append(Curve(trial.number, source.outcome(trial), is_best, points))
    return Curves(source.metric, source.plan.rungs, tuple(curves)) if curves else None


def draw(found: Curves) -> Markup:
    """Draw one line per trial, grey if pruned and strong for the best; rungs are dashed lines."""
    epochs = [epoch for curve in found.curves for epoch, _ in curve.points]
    across = axis_covering("epoch of stage 3", epochs, is_whole=True)
    values = [value for curve in found.curves for _, value in curve.points]
    panel = Panel(across, axis_covering(found.metric, values), height=260)
    for rung in found.rungs:
        panel.upright(rung, "rung")
    # The last drawn lies on top.
    for curve in sorted(found.curves, key=lambda one: (one.is_best, one.outcome == "complete")):
        kind = "curve best" if curve.is_best else f"curve {curve.outcome}"
        value = max(value for _, value in curve.points)
        tip = f"trial {curve.number}, {curve.outcome}: {value:.4g}"
        panel.line(curve.points, kind, tip)
        if len(curve.points) == 1:
            panel.dots([Dot(*curve.points[0], "best" if curve.is_best else curve.outcome, tip)])
    return panels([panel])


def words(found: Curves) -> str:
    """Return in words what the figure shows."""
    counts: dict[str, int] = {}
    for curve in found.curves:
        counts[curve.outcome] = counts.get(curve.outcome, 0) + 1
    shown = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    rungs = ", ".join(map(str, found.rungs)) or "none"
    text = f"{len(found.curves)} trials ({shown}); rungs at epochs: {rungs}."
    for curve in found.curves:
        if curve.is_best:
            epoch, value = max(curve.points, key=lambda point: point[1])
            text += f" The best, trial {curve.number}, reached {value:.4f} after epoch {epoch}"
            text += f" and ended at {curve.points[-1][1]:.4f}."
    return text
