"""Value of a trial against the seconds that it took, with the Pareto front."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.formatting import distinct_durations, duration
from distill_tune.records.pareto import pareto_front, trial_seconds
from distill_tune.report.axes import axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source

TITLE = "Value against time"


class CostPoint(NamedTuple):
    """A trial of the figure.

    Attributes:
        number: Number of the trial.
        status: ``complete`` or ``pruned``.
        seconds: Seconds spent in its own stages.
        value: Its value.
    """

    number: int
    status: str
    seconds: float
    value: float


class ValueAndCost(NamedTuple):
    """Values of a backbone's trials and the time that they took.

    Attributes:
        metric: Metric in words.
        points: Trials that ended with a value, by number.
        front: Pareto front, fastest first: no other trial that it is compared with has a higher
            value without taking longer.
    """

    metric: str
    points: tuple[CostPoint, ...]
    front: tuple[CostPoint, ...]


def info(source: Source, backbone: str) -> ValueAndCost | None:
    """Return the values and times of a backbone's trials; None before one ended with a value."""
    trials = source.trials(backbone)
    points = {
        trial.number: CostPoint(trial.number, trial.status, trial_seconds(trial), trial.value)
        for trial in trials
        if trial.value is not None and trial.status in {"complete", "pruned"}
    }
    front = tuple(points[trial.number] for trial in pareto_front(trials))
    return ValueAndCost(source.metric, tuple(points.values()), front) if points else None


def draw(found: ValueAndCost) -> Markup:
    """Draw a dot per trial, and the Pareto front as a line through trials with their numbers."""
    across = axis_covering("seconds of the trial's own stages", [p.seconds for p in found.points])
    up = axis_covering(found.metric, [point.value for point in found.points])
    panel = Panel(across, up, height=260)
    panel.line([(p.seconds, p.value) for p in found.front], "lead", "Pareto front", is_step=True)
    numbers = {point.number for point in found.front}
    panel.dots(
        Dot(p.seconds, p.value, "best" if p.number in numbers else p.status, _tip(p))
        for p in found.points
    )
    for point in found.front:
        panel.name(point.seconds, point.value, str(point.number))
    return panels([panel])


def _tip(point: CostPoint) -> str:
    return f"trial {point.number}, {point.status}: {point.value:.4g} in {duration(point.seconds)}"


def words(found: ValueAndCost) -> str:
    """Return in words what the figure shows."""
    times = distinct_durations([point.seconds for point in found.front])
    shown = ", ".join(
        f"trial {p.number} ({p.value:.4f} in {time})"
        for p, time in zip(found.front, times, strict=True)
    )
    kind = "complete" if found.front[0].status == "complete" else "pruned"
    return (
        f"Pareto front of the {kind} trials, fastest first: {shown}. (Each has a higher value than "
        "every faster one; seconds without shared stages, and longer for trials that ran beside "
        "others.)"
    )
