"""Room for trials: as many run at a time as the nodes hold that are there, which come and go."""

import time
from typing import Any

from ray import tune
from ray.tune.search import ConcurrencyLimiter

from distill_tune.search.cluster import Slots, alive_nodes, fitting

_LOOK_EVERY_S = 5.0


class RoomCallback(tune.Callback):
    """Lets more trials run when a node joins, and begins no new ones when one is lost.

    A cluster that has no room left at all is still given one trial: it waits for a node.

    Args:
        slots: What there was at first.
        most: Trials at a time that the user wants at most; None = no limit.
        limiter: Stands before the sampler and begins as many trials.

    Attributes:
        bundle: What a trial takes, as Ray names resources.
    """

    def __init__(self, slots: Slots, most: int | None, limiter: ConcurrencyLimiter) -> None:
        self.bundle, self._most, self._limiter = slots.bundle, most, limiter
        limiter.max_concurrent = slots.count
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as nothing: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    @property
    def count(self) -> int:
        """Trials at a time as of the last look, at least 1."""
        return int(self._limiter.max_concurrent)

    def on_step_begin(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            nodes = (node["Resources"] for node in alive_nodes())
            self._limiter.max_concurrent = max(1, fitting(self.bundle, nodes, self._most))
