"""Gain that a search can still expect: a Gaussian process on its complete trials."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from distill_tune.records.extras.noise import SeedNoise
from distill_tune.study.study import Study
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.distributions import Raw, distribution

_LEAST_TRIALS = 10
"""Complete trials of a backbone below which nothing is said."""
_NUM_POINTS, _NUM_DRAWS = 256, 128
_SEED = 0

Floats = NDArray[np.float64]


class GainLeft:
    """Gain that each backbone of a study can still expect.

    Args:
        study: The whole search.
    """

    def __init__(self, study: Study) -> None:
        dimensions = study.space.dimensions
        self._space = {path: distribution(dimension) for path, dimension in dimensions.items()}
        self._known: dict[tuple[str, int, float], float] = {}

    def of(self, backbone: str, journal: Journal, noise: SeedNoise) -> float | None:
        """Return the expected gain of a backbone; None as long as too few trials are complete."""
        past = [
            (trial.raw, trial.value)
            for trial in journal.past_trials()
            if trial.backbone == backbone and trial.status == "complete" and trial.value is not None
        ]
        if len(past) < _LEAST_TRIALS or not self._space:
            return None
        key = (backbone, len(past), noise.deviation)
        if key not in self._known:
            points = encoded(self._space, [raw for raw, _ in past])
            values = np.array([value for _, value in past])
            self._known[key] = expected_gain(self._space, points, values, noise.deviation)
        return self._known[key]


def encoded(space: Mapping[str, BaseDistribution], points: Sequence[Mapping[str, Raw]]) -> Floats:
    """Return raw values as coordinates ``[n, d]`` in [0, 1]; a choice has one for each value."""
    columns = [
        column
        for path, dimension in space.items()
        for column in _columns(dimension, [point[path] for point in points])
    ]
    return np.array(columns, dtype=float).T


def _columns(dimension: BaseDistribution, values: Sequence[Raw]) -> list[Floats]:
    if isinstance(dimension, CategoricalDistribution):
        return [
            np.array([float(value == choice) for value in values]) for choice in dimension.choices
        ]
    if not isinstance(dimension, FloatDistribution | IntDistribution):
        raise TypeError(f"got {dimension}, expected numbers or choices")
    low, high = float(dimension.low), float(dimension.high)
    found = np.array([float(value) for value in values if value is not None])
    if dimension.log:
        low, high, found = np.log(low), np.log(high), np.log(found)
    return [(found - low) / max(high - low, 1e-12)]


def expected_gain(
    space: Mapping[str, BaseDistribution], points: Floats, values: Floats, noise: float
) -> float:
    """Return by how much the best point of a space is expected to beat the best one tried.

    The values are those of an unknown function, smooth in the coordinates, plus the noise. Of the
    functions that a Gaussian process holds possible (Matérn 5/2, its scales by maximum likelihood),
    some are drawn: the gain is the mean, over them, of the highest value at any point less the
    value at the point of the highest posterior mean.

    Args:
        space: Distribution of each dimension.
        points: Coordinates of the trials, as :func:`encoded` returns them.
        values: Objectives of the trials.
        noise: Standard deviation of the noise.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    scale = max(float(values.std()), 1e-12)
    kernel = ConstantKernel(1.0, (1e-3, 1e2)) * Matern(0.5, (0.05, 10.0), nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=max((noise / scale) ** 2, 1e-6))
    with warnings.catch_warnings():
        # A scale at its bound is one of a function that hardly varies, or varies at random.
        warnings.simplefilter("ignore")
        process.fit(points, (values - values.mean()) / scale)
    every = np.vstack([points, _random_points(space)])
    best = int(np.argmax(process.predict(points)))
    drawn = process.sample_y(every, n_samples=_NUM_DRAWS, random_state=_SEED)
    return float(np.mean(drawn.max(axis=0) - drawn[best]) * scale)


def _random_points(space: Mapping[str, BaseDistribution]) -> Floats:
    random = np.random.default_rng(_SEED)
    columns: list[Floats] = []
    for dimension in space.values():
        if isinstance(dimension, CategoricalDistribution):
            chosen = random.integers(len(dimension.choices), size=_NUM_POINTS)
            columns += [(chosen == index).astype(float) for index in range(len(dimension.choices))]
        else:
            columns.append(random.random(_NUM_POINTS))
    return np.array(columns).T
