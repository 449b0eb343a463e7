"""Dimensions in Optuna's terms: their distributions, and the raw values drawn from those."""

import math

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from distill_tune.study.space import Choice, Dimension, Range

Raw = bool | int | float | str | None
"""A value as Optuna proposes it, before its dimension's ``decode``."""


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return the Optuna distribution of a dimension's raw values, both bounds included."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.choices)
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def encode(dimension: Dimension, value: Raw) -> Raw:
    """Return a raw value that decodes to ``value``; ``value`` itself if there is none.

    Zero of a dimension with ``or_zero`` has many raw values: the middle one is returned.
    """
    if isinstance(dimension, Range) and dimension.or_zero is not None and value == 0:
        return math.sqrt(dimension.low * dimension.min)
    return value


def lies_in(space: BaseDistribution, value: object) -> bool:
    """Return whether Optuna accepts a value as one of a distribution's."""
    # For a queued value from outside, Optuna itself only warns.
    try:
        create_trial(params={"value": value}, distributions={"value": space}, value=0.0)
    except (ValueError, TypeError):
        return False
    return True
