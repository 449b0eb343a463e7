"""Room for trials: as many run at a time as the nodes hold that are there, which come and go."""

import time
from typing import Any, Protocol

from ray import tune
from ray.tune.search import ConcurrencyLimiter

from distill_tune.search.cluster import Slots, fitting

_LOOK_EVERY_S = 5.0


class Capacity(Protocol):
    """What a trial takes, and how many run at a time."""

    @property
    def bundle(self) -> dict[str, float]:
        """Per trial, as Ray names resources."""

    @property
    def count(self) -> int:
        """Trials at a time."""


class RoomCallback(tune.Callback):
    """Lets more trials run when a node joins, and begins no new ones when one is lost.

    A cluster that has no room left at all is still given one trial: it waits for a node.

    Args:
        slots: What there was at first.
        most: Trials at a time that the user wants at most; None = no limit.
        limiter: Stands before the sampler and begins so many trials.

    Attributes:
        bundle: What a trial takes, as Ray names resources.
        count: Trials at a time as of the last look, at least 1.
    """

    def __init__(self, slots: Slots, most: int | None, limiter: ConcurrencyLimiter) -> None:
        self.bundle, self.count = slots.bundle, slots.count
        self._most, self._limiter = most, limiter
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as nothing: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    def on_step_begin(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            there = max(1, fitting(self.bundle))
            self.count = min(there, self._most or there)
            self._limiter.max_concurrent = self.count
