"""Agreement of backbones: rank correlation over the configurations that both of two have tried."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from distill_tune.confirmation.evidence.ranks import LEAST, Agreement, agreement_words
from distill_tune.confirmation.evidence.ranks import agreement as compare
from distill_tune.records.tables import flat
from distill_tune.records.trials import OBJECTIVE, TrialRecord
from distill_tune.report.axes import Axis, axis_covering
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.study_records import Source

TITLE = "Do backbones agree?"

NEAR = 0.05
"""Configurations match if no param differs by more than this share of its range."""


class Pair(NamedTuple):
    """Comparison of two backbones.

    Attributes:
        values: Matching configurations: trial numbers of the first and of the second backbone, and
            the trials' values at the first rung.
        agreement: Agreement of the two orders.
    """

    first: str
    second: str
    values: tuple[tuple[int, int, float, float], ...]
    agreement: Agreement


class BackboneAgreement(NamedTuple):
    """Comparison of all pairs of backbones.

    Attributes:
        epoch: Epoch of the comparison: the first rung, which all trials reach that do not fail.
        metric: Metric in words.
    """

    epoch: int | None
    metric: str
    pairs: tuple[Pair, ...]


def info(source: Source) -> BackboneAgreement | None:
    """Compare every two backbones of a study; None if there is only one."""
    backbones = source.state.backbones
    if len(backbones) < 2:
        return None
    rungs = source.plan.rungs
    epoch = rungs[0] if rungs else source.plan.max_epochs
    pairs = tuple(_pair(source, *two, epoch) for two in itertools.combinations(backbones, 2))
    return BackboneAgreement(epoch, source.metric, pairs)


def _pair(source: Source, first: str, second: str, epoch: int | None) -> Pair:
    ours, theirs = (_reached(source.trials(name), epoch) for name in (first, second))
    values = [
        (one.number, other.number, _value_at(one, epoch), _value_at(other, epoch))
        for one, other in _alike(ours, theirs, source.axes)
    ]
    found = compare([a for *_, a, _ in values], [b for *_, b in values])
    return Pair(first, second, tuple(values), found)


def _reached(trials: Iterable[TrialRecord], epoch: int | None) -> list[TrialRecord]:
    return [trial for trial in trials if math.isfinite(_value_at(trial, epoch))]


def _alike(
    ours: list[TrialRecord], theirs: list[TrialRecord], axes: Mapping[str, Axis]
) -> Iterator[tuple[TrialRecord, TrialRecord]]:
    """Yield pairs of matching configurations, nearest first; each trial is in at most one."""
    if not ours or not theirs or not axes:
        return
    places = [np.array([_places(trial, axes) for trial in group]) for group in (ours, theirs)]
    # The largest difference in any param; it is nan, and so never near, if one has no place.
    distances = np.abs(places[0][:, None] - places[1][None]).max(axis=2)
    pairs = np.argwhere(distances <= NEAR)
    taken: tuple[set[int], set[int]] = (set(), set())
    for a, b in sorted(pairs.tolist(), key=lambda pair: float(distances[pair[0], pair[1]])):
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            yield ours[a], theirs[b]


def _places(trial: TrialRecord, axes: Mapping[str, Axis]) -> list[float]:
    params = flat(trial.params)
    found = (axis.place(params.get(path)) for path, axis in axes.items())
    return [math.nan if place is None else place for place in found]


def _value_at(trial: TrialRecord, epoch: int | None) -> float:
    """Return the best value up to an epoch; nan for a trial that failed or ended earlier."""
    last = max(trial.history, default=0)
    if trial.status == "failed" or (epoch is not None and last < epoch):
        return math.nan
    rows = trial.history.items()
    values = (m.get(OBJECTIVE, math.nan) for e, m in rows if epoch is None or e <= epoch)
    return max(filter(math.isfinite, values), default=math.nan)


def draw(found: BackboneAgreement) -> Markup:
    """Draw one plot per pair with enough matches, with one dot per configuration."""
    drawn = []
    for pair in found.pairs:
        if len(pair.values) < LEAST:
            continue
        across = axis_covering(f"on {pair.first}", [row[2] for row in pair.values])
        up = axis_covering(f"{found.metric} on {pair.second}", [row[3] for row in pair.values])
        panel = Panel(across, up)
        panel.dots(
            Dot(x, y, "complete", f"trials {a} and {b}: {x:.4g}, {y:.4g}")
            for a, b, x, y in pair.values
        )
        drawn.append(panel)
    return panels(drawn) if drawn else Markup()


def words(found: BackboneAgreement) -> str:
    """Return in words what the figure shows."""
    where = f"after epoch {found.epoch}" if found.epoch is not None else "at the end"
    texts = [f"{pair.first} and {pair.second}: {_pair_words(pair)}" for pair in found.pairs]
    return (
        f"{'; '.join(texts)}. (Configurations that both have tried, or that differ by no more than "
        f"{100 * NEAR:.0f} % of the range of any param, compared by their values {where}.)"
    )


def _pair_words(pair: Pair) -> str:
    if pair.agreement.num_pairs < LEAST:
        return f"nothing to compare, n = {pair.agreement.num_pairs} configurations in common"
    return agreement_words(pair.agreement)
