"""Rungs: the epochs at which trials are compared."""

import math
from typing import NamedTuple

from distill_tune.errors import InputError


def default_min_epochs(max_epochs: int) -> int:
    """Return the default epochs that every trial gets: a third of ``max_epochs``, rounded up."""
    return -(-max_epochs // 3)


def rung_epochs(min_epochs: int, max_epochs: int, reduction_factor: float) -> tuple[int, ...]:
    """Return the epochs below ``max_epochs`` at which trials are compared, ascending."""
    if min_epochs < 1:
        raise InputError("search.min_epochs", got=min_epochs, expected="at least 1")
    if max_epochs < min_epochs:
        expected = f"at most the {max_epochs} epochs of a trial"
        raise InputError("search.min_epochs", got=min_epochs, expected=expected)
    if not reduction_factor > 1:
        expected = "a number above 1"
        raise InputError("search.reduction_factor", got=reduction_factor, expected=expected)
    epochs: list[int] = []
    exact: float = min_epochs
    while exact < max_epochs:
        # With a fractional factor: the first whole epoch at or after the rung, as in Ray.
        epochs += [epoch for epoch in [math.ceil(exact)] if epoch < max_epochs]
        exact *= reduction_factor
    return tuple(sorted(set(epochs)))


class RungEvent(NamedTuple):
    """Report of a trial that had not failed, as the study's event log keeps it.

    Attributes:
        number: The trial, 0-based, unique in the study.
        backbone: Its backbone; trials are compared within one.
        epoch: 1-based epoch of stage 3 (``training_iteration``).
        objective: The trial's best value up to this epoch.
    """

    number: int
    backbone: str
    epoch: int
    objective: float
