"""Agreement of two orders: Spearman's rank correlation and its interval."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST, LEAST_FOR_INTERVAL = 5, 10
"""Pairs needed for a correlation and for its interval; with fewer, chance gives almost any."""

_RESAMPLES = 1000


class Agreement(NamedTuple):
    """Agreement of two orders of the same items.

    Attributes:
        num_pairs: Number of items in both orders.
        rho: Spearman's rank correlation, in [-1, 1]; None for fewer than ``LEAST`` pairs, or if
            one of the orders is all ties.
        low: Lower end of its 95 % interval (percentile bootstrap over pairs, seed 0); None for
            fewer than ``LEAST_FOR_INTERVAL`` pairs.
        high: Upper end.
    """

    num_pairs: int
    rho: float | None = None
    low: float | None = None
    high: float | None = None


def agreement(xs: Sequence[float], ys: Sequence[float]) -> Agreement:
    """Compare the orders of two sequences of finite numbers, paired by position."""
    count = len(xs)
    if count < LEAST:
        return Agreement(count)
    rho = _rho(_mean_ranks(xs), _mean_ranks(ys))
    if rho is None:
        return Agreement(count)
    if count < LEAST_FOR_INTERVAL:
        return Agreement(count, rho)
    # Only now: its import alone takes most of a second.
    from scipy import stats

    with warnings.catch_warnings():
        # If one order is all ties in a resample, its rho is nan.
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (xs, ys),
            _spearman,
            n_resamples=_RESAMPLES,
            paired=True,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(0),
        ).bootstrap_distribution
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Agreement(count, rho, float(low), float(high))


def _mean_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the rank of each value, from 1; equal values have the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return means[places]


def _rho(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None if one sequence is constant."""
    deviations = xs - xs.mean(), ys - ys.mean()
    lengths = [float(np.linalg.norm(one)) for one in deviations]
    if min(lengths) == 0:
        return None
    return float(np.clip(np.dot(deviations[0] / lengths[0], deviations[1] / lengths[1]), -1, 1))


def _spearman(xs: ArrayLike, ys: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Return the correlation of mean ranks along an axis, for many samples at a time.

    ``stats.spearmanr`` cannot do this: it compares every row of a matrix with every other.
    """
    from scipy import stats

    ranks = [stats.rankdata(values, axis=axis) for values in (xs, ys)]
    rho: NDArray[np.float64] = stats.pearsonr(*ranks, axis=axis).statistic
    return rho


def agreement_words(found: Agreement) -> str:
    """Return an agreement in words, such as ``rho 0.62 (95 %: 0.10 to 0.90), n = 12``."""
    count = f"n = {found.num_pairs}"
    if found.rho is None:
        return f"too few: {count}" if found.num_pairs < LEAST else f"only ties, {count}"
    if found.low is None or found.high is None:
        return f"rho {found.rho:.2f}, {count} (no interval below {LEAST_FOR_INTERVAL})"
    return f"rho {found.rho:.2f} (95 %: {found.low:.2f} to {found.high:.2f}), {count}"
