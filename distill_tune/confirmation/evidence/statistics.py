"""Statistics of gains: paired differences, their intervals, and verdicts on them.

The functions take and return numbers and read no files. Accuracies lie in [0, 1]; gains have the
same unit.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from distill_tune.records.words.metric_names import gain_text, value_text

Effect = Literal["helps", "no evidence", "harms"]

_LEVEL = 0.95
_ALPHA = 0.05
_LEAST_FOR_INTERVAL = 3
_NO_SPREAD = 1e-12


class Gain(NamedTuple):
    """Gain of one arm over another, paired by seed.

    Attributes:
        num_pairs: Seeds for which both arms have a value.
        mean: Mean of the differences; nan without pairs.
        spread: Standard deviation of the differences; None for fewer than two pairs.
        low: Lower end of the mean's 95 % interval (Student's t); None for fewer than three pairs,
            or if all differences are the same, which tells nothing of their spread.
        high: Upper end of the interval.
        p_mean_gain_positive: Probability that the mean gain is above 0, given the differences and
            no prior knowledge (Student's t). It refers to the mean over infinitely many seeds, not
            to the next seed. None where there is no interval.
        p_value: p-value of a two-sided paired t-test; None where there is no interval.
    """

    num_pairs: int
    mean: float
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    p_mean_gain_positive: float | None = None
    p_value: float | None = None


def paired_gain(values: Mapping[int, float], others: Mapping[int, float]) -> Gain:
    """Return the gain of ``values`` over ``others``, over the seeds that both contain.

    Args:
        values: Seed to accuracy.
        others: Seed to accuracy of the other arm.
    """
    differences = [values[seed] - others[seed] for seed in sorted(values) if seed in others]
    return gain(differences)


def gain(differences: Sequence[float]) -> Gain:
    """Return mean, interval and probabilities of paired differences."""
    count = len(differences)
    if count == 0:
        return Gain(0, math.nan)
    mean = statistics.fmean(differences)
    if count == 1:
        return Gain(1, mean)
    spread = statistics.stdev(differences)
    if count < _LEAST_FOR_INTERVAL:
        return Gain(count, mean, spread)
    if spread <= _NO_SPREAD:
        return _constant(count, mean)
    # Not scipy.stats: its import alone takes most of a second.
    from scipy.special import stdtr, stdtrit

    error = spread / count**0.5
    positive = float(stdtr(count - 1, mean / error))
    reach = error * float(stdtrit(count - 1, (1 + _LEVEL) / 2))
    p_value = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return Gain(count, mean, spread, mean - reach, mean + reach, positive, p_value)


def _constant(count: int, mean: float) -> Gain:
    """Return the gain of differences without spread.

    If an arm never differs from the other, as on every seed it trains the same, that is known. A
    difference that is the same on a few seeds is not: with few test images, chance makes them so.
    """
    if abs(mean) <= _NO_SPREAD:
        return Gain(count, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0)
    return Gain(count, mean, 0.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for multiple comparisons; each may be compared with 0.05.

    The chance that any true null hypothesis falls below 0.05 is at most 0.05, however the tests
    depend on each other (Holm, "A simple sequentially rejective multiple test procedure", Scand. J.
    Statist. 6, 1979). This holds for a comparison that was chosen for its result too, such as the
    one with the strongest rival. None stays None and does not count.
    """
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        adjusted[index] = largest
    return adjusted


def effect(found: Gain, adjusted_p: float | None) -> Effect:
    """Return the effect that a gain shows.

    An effect requires an interval that excludes 0 and an adjusted p-value below 0.05.

    Args:
        found: The gain.
        adjusted_p: Its p-value, corrected for all arms and backbones (:func:`holm`).
    """
    if found.low is None or found.high is None or adjusted_p is None or adjusted_p >= _ALPHA:
        return "no evidence"
    if found.low > 0:
        return "helps"
    return "harms" if found.high < 0 else "no evidence"


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean (nan without values) and standard deviation (None for fewer than two)."""
    if not values:
        return math.nan, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


class Compared(NamedTuple):
    """Comparison of the method with one other arm.

    Attributes:
        what: ``the baseline``, ``its rival`` or ``its strongest rival``.
        title: Title of the other arm; for a rival, also how it was chosen.
        gain: Gain of the method over the other arm.
        adjusted_p: p-value of the gain, adjusted by :func:`holm`.
        effect: Effect that the gain shows.
        metric: Name of the metric.
        price: Price of the gain in words; empty if unknown.
    """

    what: str
    title: str
    gain: Gain
    adjusted_p: float | None
    effect: Effect
    metric: str
    price: str = ""

    @property
    def gain_words(self) -> str:
        """The gain in words, with its corrected p-value and its price."""
        words = gain_words(self.gain, self.adjusted_p, self.metric)
        return f"{words}, {self.price}" if self.price else words


_VERBS: Mapping[Effect, str] = {
    "helps": "helps",
    "no evidence": "is not shown to help",
    "harms": "harms",
}


def verdict(known: Sequence[Compared], missing: Sequence[str], who: str) -> str:
    """Return in one sentence whether the method helps against a baseline and its best rival.

    Args:
        known: Comparisons with them.
        missing: What there is no comparison with, and why, a clause each.
        who: The method's name.
    """
    clauses = " and ".join(
        f"{_VERBS[one.effect]} against {one.what} ({one.title}: {one.gain_words})" for one in known
    )
    return "; ".join([f"{who} {clauses}", *missing] if known else missing)


def gain_words(found: Gain, adjusted_p: float | None, metric: str) -> str:
    """Return a gain in words: ``+1.20 points, 95 %: +0.40 to +2.00, Holm's p 0.012, n = 5``.

    Args:
        found: The gain.
        adjusted_p: Its p-value, adjusted by :func:`holm`; None: it is left out.
        metric: Name of the metric; the gain of one that is no share is not in points.
    """
    if found.num_pairs == 0:
        return "no seed on which both have a value"
    text, count = gain_text(found.mean, metric), f"n = {found.num_pairs}"
    if found.low is None or found.high is None:
        is_few = found.num_pairs < _LEAST_FOR_INTERVAL
        why = "with fewer than three seeds" if is_few else "as it is the same on every seed"
        return f"{text}, no interval {why}, {count}"
    p_value = "" if adjusted_p is None else f", Holm's p {p_words(adjusted_p)}"
    low, high = (value_text(end, metric, has_sign=True) for end in (found.low, found.high))
    return f"{text}, 95 %: {low} to {high}{p_value}, {count}"


def p_words(value: float) -> str:
    """Return a p-value with three digits, such as ``0.012`` or ``<0.001``."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
