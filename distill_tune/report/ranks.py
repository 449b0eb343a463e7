"""Do two orders agree? Spearman's rank correlation and its interval.

(Not by scipy.stats: its import alone takes half of the time that a report may. A test compares.)
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST, LEAST_FOR_INTERVAL = 5, 10
"""Pairs that a correlation, and its interval, needs: with fewer, chance gives nearly any."""

_RESAMPLES = 1000


class Agreement(NamedTuple):
    """How far two orders of the same things agree.

    Attributes:
        num_pairs: Things that both order.
        rho: Spearman's rank correlation, in [-1, 1]; None for fewer than ``LEAST`` pairs, and
            where one of the orders is all ties.
        low: Lower end of its 95 % interval (percentile bootstrap over pairs, seed 0); None for
            fewer than ``LEAST_FOR_INTERVAL`` pairs.
        high: Upper end.
    """

    num_pairs: int
    rho: float | None = None
    low: float | None = None
    high: float | None = None


def agreement(xs: Sequence[float], ys: Sequence[float]) -> Agreement:
    """Compare the orders of two rows of finite numbers, of which the n-th belong together."""
    count = len(xs)
    if count < LEAST:
        return Agreement(count)
    once = np.ones((1, count))
    rho = float(_correlation(once, _ranks(xs, once), _ranks(ys, once))[0])
    if math.isnan(rho):
        return Agreement(count)
    if count < LEAST_FOR_INTERVAL:
        return Agreement(count, rho)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    times = draws.astype(np.float64)
    found = _correlation(times, _ranks(xs, times), _ranks(ys, times))
    found = found[np.isfinite(found)]
    if len(found) == 0:
        return Agreement(count, rho)
    low, high = np.quantile(found, [0.025, 0.975])
    return Agreement(count, rho, float(low), float(high))


def _ranks(values: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mean ranks ``[resamples, n]`` of values that occur ``times`` ``[resamples, n]``."""
    known, inverse = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(known)))
    alike = np.add.reduceat(times[:, order], starts, axis=1)
    ranks = alike.cumsum(axis=1) - alike + (alike + 1) / 2
    return ranks[:, inverse]


def _correlation(
    times: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Pearson's correlation of each row of ``xs`` and ``ys``, weighted by ``times``."""
    total = times.sum(1, keepdims=True)
    x = xs - (times * xs).sum(1, keepdims=True) / total
    y = ys - (times * ys).sum(1, keepdims=True) / total
    spread = np.sqrt((times * x * x).sum(1) * (times * y * y).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = (times * x * y).sum(1) / np.where(
            spread > 1e-12, spread, np.nan
        )
    return found


def agreement_words(found: Agreement) -> str:
    """Return it in words, such as ``rho 0.62 (95 %: 0.10 to 0.90), n = 12``."""
    count = f"n = {found.num_pairs}"
    if found.rho is None:
        return f"too few: {count}" if found.num_pairs < LEAST else f"nothing but ties, {count}"
    if found.low is None or found.high is None:
        return f"rho {found.rho:.2f}, {count} (no interval below {LEAST_FOR_INTERVAL})"
    return f"rho {found.rho:.2f} (95 %: {found.low:.2f} to {found.high:.2f}), {count}"
