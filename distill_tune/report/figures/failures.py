"""Failed trials: why, and where in the space."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.tables import flat
from distill_tune.records.trials import TrialRecord
from distill_tune.report.axes import Axis
from distill_tune.report.drawing import percent
from distill_tune.report.study_records import Source

TITLE = "What failed"

_LEAST_FOR_PLACE = 3
_MOST_NUMBERS = 12


class Reason(NamedTuple):
    """Trials that failed for the same reason.

    Attributes:
        is_infeasible: Whether the proposed params are the cause; the sampler avoids that region.
        numbers: Numbers of the trials.
        detail: Detail of the newest failure.
    """

    reason: str
    is_infeasible: bool
    numbers: tuple[int, ...]
    detail: str


class Strip(NamedTuple):
    """Places of the trials along one param.

    Attributes:
        failed: Places of the infeasible trials on the axis, in [0, 1].
        others: Places of all trials that did not fail.
        apart: How well the param separates the two: the probability that an infeasible trial lies
            higher than another one (or lower, whichever is more likely), 0.5 to 1.
    """

    axis: Axis
    failed: tuple[float, ...]
    others: tuple[float, ...]
    apart: float


class Failures(NamedTuple):
    """The failed trials of a backbone.

    Attributes:
        num_trials: Number of all trials.
        strips: Params, best separation first; empty for fewer than three infeasible trials.
    """

    num_trials: int
    reasons: tuple[Reason, ...]
    strips: tuple[Strip, ...]


def info(source: Source, backbone: str) -> Failures | None:
    """Return the failures of a backbone; None before the first trial."""
    trials = source.trials(backbone)
    if not trials:
        return None
    failed = [trial for trial in trials if trial.status == "failed"]
    reasons = tuple(
        Reason(name, name in INFEASIBLE, tuple(t.number for t in own), own[-1].detail)
        for name in dict.fromkeys(trial.reason for trial in failed)
        if (own := [trial for trial in failed if trial.reason == name])
    )
    infeasible = [trial for trial in failed if trial.reason in INFEASIBLE]
    others = [trial for trial in trials if trial.status != "failed"]
    strips: list[Strip] = []
    if len(infeasible) >= _LEAST_FOR_PLACE:
        strips = [_strip(path, axis, infeasible, others) for path, axis in source.axes.items()]
        strips.sort(key=lambda strip: -strip.apart)
    return Failures(len(trials), reasons, tuple(strips))


def _strip(
    path: str, axis: Axis, infeasible: Sequence[TrialRecord], others: Sequence[TrialRecord]
) -> Strip:
    rows = [[axis.place(flat(t.params).get(path)) for t in group] for group in (infeasible, others)]
    failed, rest = (tuple(place for place in row if place is not None) for row in rows)
    higher = sum((a > b) + 0.5 * (a == b) for a in failed for b in rest)
    chance = higher / (len(failed) * len(rest)) if failed and rest else 0.5
    return Strip(axis, failed, rest, max(chance, 1 - chance))


def draw(found: Failures) -> Markup:
    """Draw a line for each param with the places of infeasible trials and of the others."""
    row = Markup(
        '<div class="strip"><span>{}</span><svg aria-hidden="true">'
        '<line class="grid" x1="0" x2="100%" y1="50%" y2="50%"/>{}{}</svg>'
        "<small>{}</small><small>{}</small></div>"
    )
    other = Markup('<circle class="other" cx="{}" cy="50%" r="3.5"/>')
    cross = Markup(
        '<text class="cross" x="{}" y="50%" dy=".35em" text-anchor="middle">&#215;</text>'
    )
    drawn = []
    for strip in found.strips:
        marks = Markup().join(other.format(percent(place)) for place in strip.others)
        crosses = Markup().join(cross.format(percent(place)) for place in strip.failed)
        drawn.append(row.format(strip.axis.title, marks, crosses, *strip.axis.ends()))
    return (
        Markup('<div class="strips">{}</div>').format(Markup().join(drawn)) if drawn else Markup()
    )


def words(found: Failures) -> str:
    """Return in words what the figure shows."""
    if not found.reasons:
        return f"None of {found.num_trials} trials failed."
    count = sum(len(reason.numbers) for reason in found.reasons)
    reason_texts = "; ".join(_reason_words(reason) for reason in found.reasons)
    text = f"{count} of {found.num_trials} trials failed: {reason_texts}."
    if found.strips and found.strips[0].failed and found.strips[0].others:
        text += f" {_place_words(found.strips[0])}"
    return text


def _reason_words(reason: Reason) -> str:
    numbers = ", ".join(map(str, reason.numbers[:_MOST_NUMBERS]))
    more = "" if len(reason.numbers) <= _MOST_NUMBERS else " ..."
    kind = " (caused by the params)" if reason.is_infeasible else ""
    detail = f": {reason.detail}" if reason.detail else ""
    return f"{reason.reason or 'no reason recorded'}{kind}, trials {numbers}{more}{detail}"


def _place_words(strip: Strip) -> str:
    failed, others = statistics.median(strip.failed), statistics.median(strip.others)
    side = "higher" if failed > others else "lower"
    return (
        f"The infeasible ones (crosses) differ most in {strip.axis.title}: one of them is {side} "
        f"than one of the others (dots) with probability {strip.apart:.2f}."
    )
