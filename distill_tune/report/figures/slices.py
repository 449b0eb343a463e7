"""Values of the trials against each single param."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.formatting import param_text
from distill_tune.records.tables import flat
from distill_tune.report.axes import Axis, axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source

TITLE = "Each param alone"


class SlicedTrial(NamedTuple):
    """A trial with a value.

    Attributes:
        kind: Its outcome; ``best`` for the winner.
        params: Params by dotted path.
    """

    number: int
    kind: str
    value: float
    params: dict[str, object]


class Slices(NamedTuple):
    """The trials of a backbone that have a value.

    Attributes:
        metric: Metric in words.
        axes: Axes of the params, by dotted path.
    """

    metric: str
    axes: dict[str, Axis]
    trials: tuple[SlicedTrial, ...]


def info(source: Source, backbone: str) -> Slices | None:
    """Return the trials of a backbone; None if none has a value or nothing was searched."""
    winner = source.best(backbone)
    trials = tuple(
        SlicedTrial(
            trial.number,
            "best"
            if winner is not None and trial.number == winner.number
            else source.outcome(trial),
            trial.value,
            flat(trial.params),
        )
        for trial in source.trials(backbone)
        if trial.value is not None and trial.status != "failed"
    )
    return Slices(source.metric, dict(source.axes), trials) if trials and source.axes else None


def draw(found: Slices) -> Markup:
    """Draw one plot per param, with one dot per trial."""
    up = axis_covering(found.metric, [trial.value for trial in found.trials])
    drawn = []
    for path, axis in found.axes.items():
        panel = Panel(axis, up, height=150, num_ticks=3)
        # The best comes last, so that it lies on top.
        panel.dots(
            Dot(trial.params.get(path), trial.value, trial.kind, _tip(trial))
            for trial in sorted(found.trials, key=lambda one: one.kind == "best")
        )
        drawn.append(panel)
    return panels(drawn)


def _tip(trial: SlicedTrial) -> str:
    return f"trial {trial.number}: {trial.value:.4g}"


def words(found: Slices) -> str:
    """Return in words what the figure shows."""
    best = next((trial for trial in found.trials if trial.kind == "best"), None)
    text = f"{len(found.trials)} trials, each a dot; pruned ones are hollow."
    if best is None:
        return text
    shown = ", ".join(
        f"{axis.title} {param_text(best.params.get(p))}" for p, axis in found.axes.items()
    )
    return f"{text} The best, trial {best.number}, has {shown}."
