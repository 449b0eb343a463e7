"""Capacity for trials, which follows the nodes as they come and go."""

from typing import Any

from ray import tune
from ray.tune.search import ConcurrencyLimiter

from distill_tune.cluster.node_watch import NodeWatch
from distill_tune.cluster.resources import Slots
from distill_tune.tuning.journal import Journal


class CapacityCallback(tune.Callback):
    """Callback that lets more trials run when a node joins, and starts none when one is lost.

    Args:
        slots: The slots at the start.
        limiter: Wraps the sampler and starts as many trials.
        journal: Takes a warning for each node that joins and cannot do its part.

    Attributes:
        bundle: Resources of a trial, by Ray's names.
    """

    def __init__(self, slots: Slots, limiter: ConcurrencyLimiter, journal: Journal) -> None:
        self.bundle, self._limiter = slots.bundle, limiter
        self._nodes = NodeWatch(slots, journal.directory, journal.warn)
        limiter.max_concurrent = slots.count

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    @property
    def count(self) -> int:
        """Trials at a time as of the last look at the nodes, at least 1."""
        return self._nodes.count

    def on_step_begin(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self._nodes.look()
        self._limiter.max_concurrent = self._nodes.count

    def close(self) -> None:
        """Release the resources held on nodes that cannot do their part."""
        self._nodes.close()
