"""Seconds of a trial, as the second objective of a search."""

from collections.abc import Mapping
from typing import NamedTuple

from distill_tune.records.trials import SECONDS

_JOINT = "joint"


class EpochSeconds(NamedTuple):
    """Seconds that came with an epoch of stage 3.

    Attributes:
        joint: Of the epoch itself.
        before: Of stages before it, which only the first epoch has.
    """

    joint: float
    before: float


def epoch_seconds(metrics: Mapping[str, float], prefix: str = SECONDS) -> EpochSeconds:
    """Return the seconds among an epoch's metrics.

    Args:
        metrics: Values by name.
        prefix: What stands before the name of a stage.
    """
    found = {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }
    before = sum(value for stage, value in found.items() if stage != _JOINT)
    return EpochSeconds(found.get(_JOINT, 0.0), before)


def whole_seconds(seconds: Mapping[int, EpochSeconds], max_epochs: int) -> float | None:
    """Return the seconds of a trial with all epochs, for one that was stopped foretold.

    A trial that was stopped early would otherwise seem cheap for that alone.

    Args:
        seconds: By epoch.
        max_epochs: Epochs of a complete trial.

    Returns:
        The seconds; None before the first epoch.
    """
    if not seconds:
        return None
    mean = sum(one.joint for one in seconds.values()) / len(seconds)
    return sum(one.before for one in seconds.values()) + mean * max_epochs
