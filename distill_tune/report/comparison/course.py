"""Figure of a comparison: best value so far of each study, against hours of computing."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.extras.computing import hour_of
from distill_tune.report.axes import axis_covering
from distill_tune.report.drawing import Panel, panels
from distill_tune.report.figures.best_so_far import BestSoFar

TITLE = "Best so far against hours of computing"

NUM_COLOURS = 6
"""Number of colours of the style sheet; further studies have dashed lines."""


class StudyCourse(NamedTuple):
    """Course of a study's best value.

    Attributes:
        study: Name of the study.
        colour: CSS class of its line.
        points: Hours computed, and the best value by then, at the end of each trial.
        hours_to_target: Hours after which the study reached the target; None if it did not.
    """

    study: str
    colour: str
    points: tuple[tuple[float, float], ...]
    hours_to_target: float | None


class Course(NamedTuple):
    """Courses of the studies on one backbone.

    Attributes:
        backbone: Name of the backbone.
        metric: Metric in words.
        unit: Unit of the hours: ``CPU`` or ``GPU``.
        target: The lowest of the studies' best values, which each of them reached.
        studies: Courses in the order of the studies.
    """

    backbone: str
    metric: str
    unit: str
    target: float
    studies: tuple[StudyCourse, ...]


class Courses(NamedTuple):
    """Data of the figure: one plot per backbone and unit of the hours."""

    plots: tuple[Course, ...]


def colour(index: int) -> str:
    """Return the CSS class of the ``index``-th study."""
    dashed = " dashed" if index // NUM_COLOURS % 2 else ""
    return f"study{index % NUM_COLOURS}{dashed}"


def courses(names: Sequence[str], found: Sequence[tuple[str, str, BestSoFar]]) -> Courses | None:
    """Return the data of the figure.

    Args:
        names: Names of all studies, in order.
        found: Name of a study, backbone and course of its best value.

    Returns:
        The data; None if no trial has a value.
    """
    groups: dict[tuple[str, str, str], dict[str, tuple[tuple[float, float], ...]]] = {}
    for name, backbone, one in found:
        points = tuple((step.hours, step.best) for step in one.steps if step.best is not None)
        if points:
            groups.setdefault((backbone, one.metric, one.unit), {})[name] = points
    plots = tuple(_course(names, *key, points) for key, points in groups.items())
    return Courses(plots) if plots else None


def _course(
    names: Sequence[str],
    backbone: str,
    metric: str,
    unit: str,
    points: dict[str, tuple[tuple[float, float], ...]],
) -> Course:
    target = min(own[-1][1] for own in points.values())
    studies = tuple(
        StudyCourse(name, colour(names.index(name)), own, _first(own, target))
        for name, own in points.items()
    )
    return Course(backbone, metric, unit, target, studies)


def _first(points: tuple[tuple[float, float], ...], target: float) -> float | None:
    return next((hours for hours, best in points if best >= target), None)


def draw(found: Courses) -> Markup:
    """Draw one plot per backbone, with a line per study."""
    several = len({plot.backbone for plot in found.plots}) > 1
    drawn = []
    for plot in found.plots:
        hours = [0.0, *(x for one in plot.studies for x, _ in one.points)]
        values = [y for one in plot.studies for _, y in one.points]
        title = f"{plot.metric} of {plot.backbone}" if several else plot.metric
        panel = Panel(
            axis_covering(f"{hour_of(plot.unit)}s", hours), axis_covering(title, values), height=260
        )
        for one in plot.studies:
            # A single point would have no line.
            ends = [*one.points, one.points[-1]]
            panel.line(ends, one.colour, f"{one.study}: {one.points[-1][1]:.4f}", is_step=True)
        drawn.append(panel)
    return panels(drawn)


def words(found: Courses) -> str:
    """Return in words what the figure shows."""
    return " ".join(map(_plot_words, found.plots))


def _plot_words(plot: Course) -> str:
    ends = "; ".join(
        f"{one.study} has {one.points[-1][1]:.4f} after {one.points[-1][0]:.3g} "
        f"{hour_of(plot.unit)}s" + _reached(one, plot)
        for one in plot.studies
    )
    return f"{plot.backbone}, {plot.metric}: {ends}."


def _reached(one: StudyCourse, plot: Course) -> str:
    if len(plot.studies) < 2 or one.hours_to_target is None:
        return ""
    return f" and reached {plot.target:.4f} after {one.hours_to_target:.3g}"
