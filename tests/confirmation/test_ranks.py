"""Rank correlations and their intervals."""

import numpy as np
import pytest
from scipy import stats

from distill_tune.confirmation.evidence.ranks import Agreement, agreement, agreement_words


@pytest.mark.parametrize("count", [5, 12, 60])
@pytest.mark.parametrize("decimals", [1, 6])
def test_it_is_spearmans_rho_with_ties(count: int, decimals: int) -> None:
    rng = np.random.default_rng(count)
    xs = rng.random(count).round(decimals)
    ys = (xs + rng.random(count)).round(decimals)
    expected = stats.spearmanr(xs, ys).statistic
    found = agreement(xs.tolist(), ys.tolist())
    assert found.rho == pytest.approx(expected, abs=1e-12)
    assert (found.low is None) == (count < 10)


def test_the_interval_is_that_of_a_bootstrap_over_pairs() -> None:
    rng = np.random.default_rng(1)
    xs = rng.random(30).round(1)
    ys = xs + 0.4 * rng.random(30)
    found = agreement(xs.tolist(), ys.tolist())
    boot = stats.bootstrap(
        (xs, ys),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((boot.low, boot.high), abs=0.04)


@pytest.mark.parametrize(
    ("xs", "ys", "words"),
    [
        ([], [], "too few: n = 0"),
        ([1, 2, 3, 4], [1, 2, 3, 4], "too few: n = 4"),
        ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], "only ties, n = 5"),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], "rho -1.00, n = 5 (no interval below 10)"),
        (range(10), range(10), "rho 1.00 (95 %: 1.00 to 1.00), n = 10"),
    ],
)
def test_it_is_told_with_n(xs: list[float], ys: list[float], words: str) -> None:
    assert agreement_words(agreement(list(xs), list(ys))) == words


def test_equal_pairs_have_an_interval_even_if_a_resample_is_all_ties() -> None:
    found = agreement([0.0] * 9 + [1.0], [0.0] * 9 + [1.0])
    assert found == pytest.approx(Agreement(10, 1.0, 1.0, 1.0))
