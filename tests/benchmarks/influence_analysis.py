"""How much of the spread of a recorded table each dimension explains, and how much its seeds.

A run is ``y = seed + f(point) + noise``. The seeds are a block: every point has run on each, so the
means over them are free of what a seed does to all points alike. A straight line and a parabola of
each dimension are fitted to these means.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from tests.benchmarks.recorded_table import Floats

_RESAMPLES = 2_000


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def leaves_zero(self) -> bool:
        """Whether zero is outside."""
        return self.low > 0 or self.high < 0


class Effect(NamedTuple):
    """What one dimension does, the others averaged out.

    Attributes:
        share: Of the variance of a run, noise subtracted; in [0, 1].
        slope: Change per standard deviation of the dimension over the design.
        curvature: Coefficient of the parabola, scaled to a standard deviation of 1: below zero,
            the best values are inside the range.
        p: Of the F test that both are zero.
    """

    share: float
    slope: Interval
    curvature: Interval
    p: float

    @property
    def acts(self) -> bool:
        """Whether the 95 % confidence region of slope and curvature leaves zero."""
        return self.p < 0.05


class Influence(NamedTuple):
    """Where the variance of a run comes from; the shares add up to 1 but for the clipping at 0.

    Attributes:
        effects: Of each dimension, in their order.
        other_share: Of the points, beyond the curves of single dimensions: interactions.
        seed_share: Of the seeds: what one does to all points alike, and to each.
        block_share: The first part of it alone, which the trials of a search have in common.
    """

    effects: tuple[Effect, ...]
    other_share: float
    seed_share: float
    block_share: float


class Variances(NamedTuple):
    """Components of the variance of a run, none below 0.

    Attributes:
        point: Between points, beyond noise.
        seed: What a seed does to all points alike.
        noise: What it does to each point.
    """

    point: float
    seed: float
    noise: float


def influence(units: Floats, values: Floats) -> Influence:
    """Return the influence of every dimension.

    Args:
        units: Where the points lie in the unit cube, ``[num_points, num_dimensions]``.
        values: Of the runs, ``[num_points, num_seeds]``; two seeds at least.
    """
    found = variances(values)
    total = sum(found)
    terms, means = curves(units), values.mean(axis=1)
    effects = tuple(_effect(terms, means, dimension, total) for dimension in range(units.shape[1]))
    return Influence(
        effects=effects,
        other_share=max(0.0, found.point / total - sum(effect.share for effect in effects)),
        seed_share=(found.seed + found.noise) / total,
        block_share=found.seed / total,
    )


def variances(values: Floats) -> Variances:
    """Return the components of variance of a two-way table, ``[num_points, num_seeds]``.

    The estimates of the analysis of variance without replication (Searle, Casella and McCulloch,
    "Variance Components", 1992, section 4.4).
    """
    num_points, num_seeds = values.shape
    by_point = values.mean(axis=1, keepdims=True) - values.mean()
    by_seed = values.mean(axis=0, keepdims=True) - values.mean()
    rest = values - values.mean() - by_point - by_seed
    noise = float((rest**2).sum() / ((num_points - 1) * (num_seeds - 1)))
    return Variances(
        point=max(0.0, float(by_point.var(ddof=1)) - noise / num_seeds),
        seed=max(0.0, float(by_seed.var(ddof=1)) - noise / num_points),
        noise=noise,
    )


def curves(units: Floats) -> Floats:
    """Return a line and a parabola of each dimension, ``[num_points, num_dimensions, 2]``.

    Legendre's polynomials of the unit cube, with mean 0 and standard deviation 1 over the points.
    """
    sides = 2 * units - 1
    terms = np.stack([sides, 1.5 * sides**2 - 0.5], axis=2)
    scaled: Floats = (terms - terms.mean(axis=0)) / terms.std(axis=0)
    return scaled


def fit(terms: Floats, means: Floats) -> Floats:
    """Return least-squares coefficients ``[..., num_dimensions, 2]``, the constant left out.

    Args:
        terms: ``[..., num_points, num_dimensions, 2]``.
        means: ``[..., num_points]``.
    """
    flat = terms.reshape(*means.shape, -1)
    matrix = np.concatenate([np.ones((*means.shape, 1)), flat], axis=-1)
    turned = matrix.swapaxes(-1, -2)
    solved: Floats = np.linalg.solve(turned @ matrix, turned @ means[..., None])
    return solved[..., 1:, 0].reshape(*means.shape[:-1], *terms.shape[-2:])


def _effect(terms: Floats, means: Floats, dimension: int, total: float) -> Effect:
    """Return one dimension's effect: Type II, beside all other dimensions."""
    others = np.delete(terms, dimension, axis=1)
    freedom = len(means) - 1 - terms[0].size
    unexplained = _residual(terms, means)
    explained = _residual(others, means) - unexplained
    noise = unexplained / freedom
    ratio = explained / 2 / noise if noise > 0 else np.inf
    return Effect(
        share=max(0.0, (explained - 2 * noise) / (len(means) - 1) / total),
        slope=_interval(terms, means, (dimension, 0)),
        curvature=_interval(terms, means, (dimension, 1)),
        p=float(stats.f.sf(ratio, 2, freedom)),
    )


def _residual(terms: Floats, means: Floats) -> float:
    """Return the sum of squares that the terms leave."""
    fitted = (terms * fit(terms, means)).sum(axis=(1, 2))
    return float(((means - means.mean() - fitted) ** 2).sum())


def _interval(terms: Floats, means: Floats, place: tuple[int, int]) -> Interval:
    """Return a coefficient with its bias-corrected bootstrap interval, over points."""

    def coefficients(chosen: Floats, axis: int = -1) -> Floats:  # noqa: ARG001 - always the last
        points = chosen.astype(int)
        found: Floats = fit(terms[points], means[points])[..., *place]
        return found

    everything: Floats = np.arange(len(means), dtype=float)
    found = stats.bootstrap(
        (everything,), coefficients, n_resamples=_RESAMPLES, vectorized=True, rng=0
    ).confidence_interval
    return Interval(float(coefficients(everything)), float(found.low), float(found.high))
