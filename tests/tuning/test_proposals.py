"""Tests of what proposals follow from: distributions, raw values, points to try first."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from distill_tune.errors import InputError
from distill_tune.study.space import Choice, Dimension, LogUniform, RandInt, Range, Uniform
from distill_tune.tuning.sampling.distributions import distribution, encode
from distill_tune.tuning.sampling.proposals import raw_point
from tests.tuning.plans import SPACE, plan


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (Uniform(0.1, 0.5), FloatDistribution(0.1, 0.5)),
        (LogUniform(1e-5, 1e-2), FloatDistribution(1e-5, 1e-2, log=True)),
        (RandInt(1, 7), IntDistribution(1, 7)),
        (Range("lograndint", 1, 64), IntDistribution(1, 64, log=True)),
        (Choice(("a", 2, None)), CategoricalDistribution(("a", 2, None))),
        (LogUniform(1e-4, 1e-2, or_zero=0.5), FloatDistribution(1e-6, 1e-2, log=True)),
    ],
)
def test_a_dimension_is_drawn_over_its_raw_range(dimension: Dimension, expected: object) -> None:
    got = distribution(dimension)
    if isinstance(got, FloatDistribution) and isinstance(expected, FloatDistribution):
        assert (got.low, got.high, got.log) == pytest.approx(
            (expected.low, expected.high, expected.log)
        )
    else:
        assert got == expected


def test_values_are_encoded_such_that_they_decode_to_themselves() -> None:
    values = {"joint.margin": 0.3, "joint.gan_lr": 0.0, "joint.refresh": 5, "gan.steps": 9}
    point = raw_point(SPACE, values | {"joint.epochs": 12})
    assert list(point) == ["joint.margin", "joint.gan_lr", "joint.refresh"]
    for path, raw in point.items():
        assert encode(SPACE[path], values[path]) == raw
        assert SPACE[path].decode(raw) == values[path]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (
            {"joint.margni": 0.5},
            (
                "points_to_evaluate.0: got 'joint.margni', expected a dimension of the space. "
                "Did you mean 'joint.margin'?"
            ),
        ),
        (
            {"joint.margin": 1.0},
            "points_to_evaluate.0.joint.margin: got 1.0, expected a value of uniform(0.05, 0.9)",
        ),
        (
            {"joint.refresh": 3},
            "points_to_evaluate.0.joint.refresh: got 3, expected a value of choice(1, 2, 5)",
        ),
    ],
)
def test_a_point_outside_the_space_is_named(point: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(points_to_evaluate=(point,)).distributions()
    assert str(caught.value) == message
