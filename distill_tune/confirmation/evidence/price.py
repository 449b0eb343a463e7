"""Price of a gain: points for each further hour of computing that an arm takes."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from distill_tune.confirmation.evidence.statistics import Gain
from distill_tune.records.confirm_log import RunRecord
from distill_tune.records.words.metric_names import is_share

_LEAST_SHARE = 0.01
"""Share of an arm's own time below which a difference is no further cost."""
_NO_GAIN = 1e-9
_FEWEST = 3
"""Seeds below which the time that an arm takes longer is not told from noise."""
_OUTSIDE = 0.05
"""Chance that the interval of a median does not cover it."""


class Cost(NamedTuple):
    """Median cost of training one run of an arm, shared stages in full.

    Attributes:
        hours: Hours of all its cores, or of its GPU.
        unit: ``core-hour`` or ``GPU-hour``.
    """

    hours: float
    unit: str


class Price(NamedTuple):
    """Price of a gain.

    Attributes:
        extra_hours: Hours that the arm takes beyond the other one, for each run: the median over
            the seeds of both; may be negative.
        points_per_hour: Gain for each of these hours, in points, or in the unit of a metric that is
            no share; None if the arm is not shown to take longer.
        unit: ``core-hour`` or ``GPU-hour``.
        low: Lower end of the 95 % interval of ``extra_hours``, see :func:`median_interval`.
        high: Upper end.
        is_free: Whether the arm is shown to take no longer.
        is_share: Whether the gain is in points.
    """

    extra_hours: float
    points_per_hour: float | None
    unit: str
    low: float
    high: float
    is_free: bool = False
    is_share: bool = True

    @property
    def cell(self) -> str:
        """The price in a cell of a table, such as ``-2,500``: two significant digits."""
        if self.points_per_hour is None:
            return "free" if self.is_free else "same cost"
        # A decimal number keeps the digits of "g", but is written without its exponent.
        return f"{Decimal(f'{self.points_per_hour:.2g}'):+,f}"

    @property
    def words(self) -> str:
        """The price in words, such as ``+27 points per core-hour``."""
        if self.points_per_hour is None:
            return "at no further cost" if self.is_free else "at about the same cost"
        return f"{self.cell}{' points' if self.is_share else ''} per {self.unit}"


def seconds_of(runs: Iterable[RunRecord]) -> float:
    """Return the median training time of the complete runs; nan if there is none.

    A run during which its machine slept, or did other work, does not change it much.
    """
    seconds = list(_by_seed(runs).values())
    return median(seconds) if seconds else math.nan


def _by_seed(runs: Iterable[RunRecord]) -> dict[int, float]:
    """Return the training time of each complete run, by its seed."""
    return {run.seed: sum(run.seconds.values()) for run in runs if run.test}


def cost_of(runs: Sequence[RunRecord]) -> Cost | None:
    """Return the median cost of an arm's complete runs; None if no run tells of its resources."""
    seconds, (count, unit) = seconds_of(runs), _resources(runs)
    return None if math.isnan(seconds) or not count else Cost(count * seconds / 3600, unit)


def _resources(runs: Sequence[RunRecord]) -> tuple[float, str]:
    """Return how many cores, or GPUs, a run has, and the unit of their hours."""
    gpus, cpus = (max((getattr(run, name) for run in runs), default=0) for name in ("gpus", "cpus"))
    return (gpus, "GPU-hour") if gpus else (cpus, "core-hour")


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval that covers the median with 95 %, however the values are distributed.

    Its ends are values: so many of them lie outside as a fair coin shows heads, or tails, in 2.5 %
    of as many throws at most (the sign test). Fewer than six values have no such interval: theirs
    is from the least to the greatest. A run beside other work, however slow, moves it little.

    Args:
        values: At least one.
    """
    ordered, count = sorted(values), len(values)
    outside, chance = 0, 2 * 0.5**count
    while chance <= _OUTSIDE:
        outside += 1
        chance += 2 * math.comb(count, outside) * 0.5**count
    left_out = max(0, outside - 1)
    return ordered[left_out], ordered[count - 1 - left_out]


def price_of(
    gain: Gain | None, runs: Sequence[RunRecord], others: Sequence[RunRecord], metric: str
) -> Price | None:
    """Return the price of a gain of one arm over another.

    None if something is unknown, or with fewer than three seeds on which both runs are complete.

    Args:
        gain: The gain.
        runs: Runs of the arm that gains.
        others: Runs of the arm that it gains over.
        metric: Name of the metric.
    """
    (count, unit), (other_count, other_unit) = _resources(runs), _resources(others)
    if gain is None or gain.num_pairs == 0 or not (count and other_count) or unit != other_unit:
        return None
    own, theirs = _by_seed(runs), _by_seed(others)
    common = [seed for seed in own if seed in theirs]
    if len(common) < _FEWEST:
        return None
    hours = [count * own[seed] / 3600 for seed in common]
    others_hours = [other_count * theirs[seed] / 3600 for seed in common]
    extra = [mine - other for mine, other in zip(hours, others_hours, strict=True)]
    low, high = median_interval(extra)
    least = _LEAST_SHARE * median(hours)
    # Of values that are equal but for rounding, the difference is rarely zero.
    scale = 100 if is_share(metric) else 1
    points = 0.0 if abs(gain.mean) <= _NO_GAIN else scale * gain.mean
    is_dearer = low > 0 and median(extra) > least
    price = points / median(extra) if is_dearer else None
    return Price(
        median(extra), price, unit, low, high, is_free=high <= least, is_share=is_share(metric)
    )
