"""Parallel coordinates of all params, with a line for each trial."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.report.axes import Axis, axis_covering
from distill_tune.report.drawing import path as line
from distill_tune.report.drawing import percent
from distill_tune.report.figures.slices import SlicedTrial
from distill_tune.report.figures.slices import info as slices_info
from distill_tune.report.study_records import Source

TITLE = "All params at once"

_TOP_SHARE = 4
_WIDTH = 120


class Parallel(NamedTuple):
    """The trials of a backbone.

    Attributes:
        axes: Axes by dotted path; the last one, with an empty path, is that of the value.
        trials: Trials in ascending order of value.
        num_top: Number of trials in the best quarter.
    """

    axes: dict[str, Axis]
    trials: tuple[SlicedTrial, ...]
    num_top: int


def info(source: Source, backbone: str) -> Parallel | None:
    """Return the trials of a backbone; None for fewer than two trials or two params."""
    found = slices_info(source, backbone)
    if found is None or len(found.trials) < 2 or len(found.axes) < 2:
        return None
    trials = tuple(sorted(found.trials, key=lambda trial: trial.value))
    value = axis_covering(found.metric, [trial.value for trial in trials])
    return Parallel({**found.axes, "": value}, trials, -(-len(trials) // _TOP_SHARE))


def draw(found: Parallel) -> Markup:
    """Draw a vertical axis for each param and the value, and a line for each trial."""
    places = {path: i / (len(found.axes) - 1) for i, path in enumerate(found.axes)}
    uprights = Markup().join(_axis(axis, places[path]) for path, axis in found.axes.items())
    lines = Markup().join(
        _line(found.axes, places, trial, is_top=index >= len(found.trials) - found.num_top)
        for index, trial in enumerate(found.trials)
    )
    return Markup(
        '<div class="scroll"><div class="parallel" style="min-width:{}px">'
        '<svg aria-hidden="true">{}{}</svg></div></div>'
    ).format(_WIDTH * len(found.axes), lines, uprights)


def _axis(axis: Axis, place: float) -> Markup:
    mark = Markup('<line class="upright" x1="{0}" x2="{0}" y1="0" y2="100%"/>{1}{2}')
    ticks = axis.ticks(4)
    label = Markup('<text class="tick" x="{}" y="{}" dx="5" dy=".32em">{}</text>')
    written = Markup().join(
        label.format(percent(place), percent(1 - at), text) for at, text in ticks
    )
    title = Markup('<text x="{}" y="100%" dy="22" text-anchor="{}">{}</text>')
    anchor = {0.0: "start", 1.0: "end"}.get(place, "middle")
    return mark.format(percent(place), written, title.format(percent(place), anchor, axis.title))


def _line(
    axes: dict[str, Axis], places: dict[str, float], trial: SlicedTrial, *, is_top: bool
) -> Markup:
    values = {**trial.params, "": trial.value}
    heights = {path: axis.place(values.get(path)) for path, axis in axes.items()}
    points = [(places[p], 1 - height) for p, height in heights.items() if height is not None]
    kind = "curve best" if trial.kind == "best" else f"curve {'top' if is_top else 'other'}"
    return line(points, kind, f"trial {trial.number}: {trial.value:.4g}")


def words(found: Parallel) -> str:
    """Return in words what the figure shows."""
    names = ", ".join(axis.title for path, axis in found.axes.items() if path)
    return (
        f"A line for each of {len(found.trials)} trials through its {names} and, at the right, its "
        f"{found.axes[''].title}; the best {found.num_top} in colour, the very best in bold."
    )
