"""The gain that a search can still expect, in simulations with a known truth."""

from collections.abc import Callable

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.stopping.gain_left import Floats, encoded, expected_gain

NOISE = 0.01
SPACE: dict[str, BaseDistribution] = {
    "a": FloatDistribution(0, 1),
    "b": FloatDistribution(0, 1),
}
Truth = Callable[[Floats], Floats]


def flat(points: Floats) -> Floats:
    return np.zeros(len(points))


def steep(points: Floats) -> Floats:
    """Return a hill whose top at 0.3 is 0.3 above the far corner."""
    found: Floats = -0.3 * ((points - 0.3) ** 2).sum(axis=1)
    return found


def gains(truth: Truth, num_trials: int, seeds: range = range(2)) -> list[float]:
    """Return the expected gain after random trials, in units of the noise."""
    found = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        points = random.random((num_trials, 2))
        values = truth(points) + NOISE * random.standard_normal(num_trials)
        found.append(expected_gain(SPACE, points, values, NOISE) / NOISE)
    return found


def test_where_nothing_is_to_be_gained_it_soon_says_so() -> None:
    assert max(gains(flat, 20)) < 1


def test_a_hill_of_which_little_is_known_is_worth_going_on() -> None:
    def far_from_the_top(seed: int) -> float:
        random = np.random.default_rng(seed)
        points = 0.6 + 0.4 * random.random((10, 2))
        values = steep(points) + NOISE * random.standard_normal(10)
        return expected_gain(SPACE, points, values, NOISE) / NOISE

    assert min(far_from_the_top(seed) for seed in range(2)) > 1


def test_the_better_a_hill_is_known_the_less_is_expected_of_it() -> None:
    few, many = (np.mean(gains(steep, number)) for number in (8, 30))
    assert many < few
    assert many < 1


@pytest.mark.filterwarnings("error")
def test_it_follows_from_the_trials_alone_and_warns_of_nothing() -> None:
    assert gains(flat, 10, range(1)) == gains(flat, 10, range(1))


def test_values_are_scaled_to_the_unit_cube() -> None:
    space: dict[str, BaseDistribution] = {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "pairing": CategoricalDistribution(("assign", "contrast")),
        "margin": FloatDistribution(2.0, 4.0),
    }
    points: list[dict[str, Raw]] = [
        {"lr": 1e-3, "pairing": "contrast", "margin": 2.0},
        {"lr": 1e-2, "pairing": "assign", "margin": 3.5},
    ]
    expected = [[0.5, 0, 1, 0], [1, 1, 0, 0.75]]
    assert encoded(space, points) == pytest.approx(np.array(expected))
    values = np.array([0.1, 0.2])
    assert np.isfinite(expected_gain(space, encoded(space, points), values, NOISE))
