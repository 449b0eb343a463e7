"""Best value so far, against trials and against hours of computing."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.extras.computing import hour_of
from distill_tune.records.extras.runs import controls
from distill_tune.records.trials import TrialRecord
from distill_tune.report.axes import axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source, is_of, spent_s

TITLE = "Best so far"


class EndedTrial(NamedTuple):
    """A trial that is over, in the order in which trials ended.

    Attributes:
        number: Number of the trial.
        num_over: Number of trials over by then, including this one.
        hours: Hours computed by then: the trials' own stages and the shared stages.
        value: Value of the trial; None if it failed.
        best: Highest value by then, among complete trials, or among pruned ones while no trial is
            complete.
    """

    number: int
    status: str
    num_over: int
    hours: float
    value: float | None
    best: float | None


class BestSoFar(NamedTuple):
    """Course of a backbone's best value.

    Attributes:
        metric: Metric in words.
        unit: Unit of the hours: ``CPU`` or ``GPU``.
        controls: Each control in words, and its value, which the best must beat.
        has_finalists: Whether the winner was chosen by further seeds, which are not shown.
    """

    metric: str
    unit: str
    steps: tuple[EndedTrial, ...]
    controls: dict[str, float]
    has_finalists: bool = False

    @property
    def found(self) -> EndedTrial | None:
        """The step with the best value of all."""
        last = self.steps[-1].best if self.steps else None
        return next((step for step in self.steps if last is not None and step.best == last), None)


def info(source: Source, backbone: str) -> BestSoFar | None:
    """Return the steps of a backbone; None before any trial is over."""
    over = [trial for trial in source.trials(backbone) if trial.ended_at is not None]
    over.sort(key=lambda trial: (trial.ended_at or 0.0, trial.number))
    unit, amount = source.device
    seconds = sum(spent_s(one) for one in source.status.stages if is_of(one.name, backbone))
    is_any_complete = False
    best: float | None = None
    steps = []
    for count, trial in enumerate(over, start=1):
        seconds += sum(trial.seconds.values())
        if trial.status == "complete" and trial.value is not None and not is_any_complete:
            is_any_complete, best = True, None
        if trial.value is not None and _counts(trial, is_any_complete=is_any_complete):
            best = trial.value if best is None else max(trial.value, best)
        hours = amount * seconds / 3600
        steps.append(EndedTrial(trial.number, trial.status, count, hours, trial.value, best))
    records = controls(source.state).get(backbone, {}).values()
    beaten = {one.words: one.value for one in records if one.value is not None}
    has_finalists = backbone in source.state.finalists
    return BestSoFar(source.metric, unit, tuple(steps), beaten, has_finalists) if steps else None


def _counts(trial: TrialRecord, *, is_any_complete: bool) -> bool:
    return trial.status == "complete" or (trial.status != "failed" and not is_any_complete)


def draw(found: BestSoFar) -> Markup:
    """Draw trials as dots and the best value so far as a line, over trials and over hours."""
    values = [value for step in found.steps for value in (step.value, step.best)]
    values += found.controls.values()
    up = axis_covering(found.metric, values)
    counts = [0, *(step.num_over for step in found.steps)]
    hours = [0.0, *(step.hours for step in found.steps)]
    drawn = []
    for across, index in (
        (axis_covering("trials that ended", counts, is_whole=True), 2),
        (axis_covering(f"{hour_of(found.unit)}s", hours), 3),
    ):
        panel = Panel(across, up)
        panel.dots(
            Dot(step[index], step.value, step.status, f"trial {step.number}: {step.value:.4g}")
            for step in found.steps
            if step.value is not None
        )
        known = [step for step in found.steps if step.best is not None]
        panel.line([(step[index], step.best) for step in known], "lead", is_step=True)
        last = found.steps[-1][index]
        for name, value in found.controls.items():
            panel.line([(0, value), (last, value)], "curve other", f"{name}: {value:.4g}")
        drawn.append(panel)
    return panels(drawn)


def words(found: BestSoFar) -> str:
    """Return in words what the figure shows."""
    last, step = found.steps[-1], found.found
    unit = f"{hour_of(found.unit)}s"
    total = f"{last.num_over} trials and {last.hours:.3g} {unit}"
    beside = {"controls": found.controls, "finalists": found.has_finalists}
    if left_out := [name for name, is_there in beside.items() if is_there]:
        total += f", without {' and '.join(left_out)}"
    if step is None or step.best is None:
        return f"No trial has a value after {total}."
    kind = (
        "" if any(one.status == "complete" for one in found.steps) else " (of pruned trials only)"
    )
    seed = " on the first seed" if found.has_finalists else ""
    return (
        f"The best {found.metric}{seed}, {step.best:.4f}{kind}, was reached by trial "
        f"{step.number}, after {step.num_over} trials and {step.hours:.3g} {unit}; in "
        f"total {total}."
        f"{_controls_words(found)}"
    )


def _controls_words(found: BestSoFar) -> str:
    """Return the controls, which are drawn as level lines, in words."""
    listed = [f"{name}: {value:.4f}" for name, value in found.controls.items()]
    return f" The level lines are the controls ({'; '.join(listed)})." if listed else ""
