"""Price of a gain: points for each further hour of computing that an arm takes."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from distill_tune.confirmation.evidence.statistics import Gain
from distill_tune.records.confirm_log import RunRecord

_LEAST_SHARE = 0.01
"""Share of an arm's own time below which a difference is no further cost."""
_NO_GAIN = 1e-9


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
        extra_hours: Hours that the arm takes beyond the other one, for each run; may be negative.
        points_per_hour: Gain in points for each of these hours; None if there are none to pay for.
        unit: ``core-hour`` or ``GPU-hour``.
    """

    extra_hours: float
    points_per_hour: float | None
    unit: str

    @property
    def cell(self) -> str:
        """The price in a cell of a table, such as ``-2,530``: three significant digits."""
        if self.points_per_hour is None:
            return "free"
        # A decimal number keeps the digits of "g", but is written without its exponent.
        return f"{Decimal(f'{self.points_per_hour:.3g}'):+,f}"

    @property
    def words(self) -> str:
        """The price in words, such as ``+27.1 points per core-hour``."""
        if self.points_per_hour is None:
            return "at no further cost"
        return f"{self.cell} points per {self.unit}"


def seconds_of(runs: Iterable[RunRecord]) -> float:
    """Return the median training time of the complete runs; nan if there is none.

    A run during which its machine slept, or did other work, does not change it much.
    """
    seconds = [sum(run.seconds.values()) for run in runs if run.test]
    return median(seconds) if seconds else math.nan


def cost_of(runs: Sequence[RunRecord]) -> Cost | None:
    """Return the median cost of an arm's complete runs; None if no run tells of its resources."""
    seconds = seconds_of(runs)
    gpus, cpus = (max((getattr(run, name) for run in runs), default=0) for name in ("gpus", "cpus"))
    units = gpus or cpus
    if math.isnan(seconds) or not units:
        return None
    hours = units * seconds / 3600
    return Cost(hours, "GPU-hour" if gpus else "core-hour")


def price_of(gain: Gain | None, cost: Cost | None, other: Cost | None) -> Price | None:
    """Return the price of a gain of one arm over another; None if something is unknown.

    Args:
        gain: The gain.
        cost: Cost of the arm that gains.
        other: Cost of the arm that it gains over.
    """
    if gain is None or gain.num_pairs == 0 or cost is None or other is None:
        return None
    if cost.unit != other.unit:
        return None
    extra = cost.hours - other.hours
    is_dearer = extra > _LEAST_SHARE * cost.hours
    # Of values that are equal but for rounding, the difference is rarely zero.
    points = 0.0 if abs(gain.mean) <= _NO_GAIN else 100 * gain.mean
    return Price(extra, points / extra if is_dearer else None, cost.unit)
