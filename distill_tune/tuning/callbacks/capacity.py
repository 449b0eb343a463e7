"""Room for trials: as many run at a time as the nodes hold that are there, which come and go."""

from typing import Any

from ray import tune
from ray.tune.search import ConcurrencyLimiter

from distill_tune.cluster.nodes import NodeWatch
from distill_tune.cluster.resources import Slots
from distill_tune.tuning.journal import Journal


class CapacityCallback(tune.Callback):
    """Lets more trials run when a node joins, and begins no new ones when one is lost.

    Args:
        slots: What there was at first.
        most: Trials at a time that the user wants at most; None = no limit.
        limiter: Stands before the sampler and begins as many trials.
        journal: Told of a node that joins and cannot do its part.

    Attributes:
        bundle: What a trial takes, as Ray names resources.
    """

    def __init__(
        self, slots: Slots, most: int | None, limiter: ConcurrencyLimiter, journal: Journal
    ) -> None:
        self.bundle, self._limiter = slots.bundle, limiter
        self._nodes = NodeWatch(slots, most, journal.directory, journal.warn)
        limiter.max_concurrent = slots.count

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as nothing: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    @property
    def count(self) -> int:
        """Trials at a time as of the last look at the nodes, at least 1."""
        return self._nodes.count

    def on_step_begin(self, **info: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        self._nodes.look()
        self._limiter.max_concurrent = self._nodes.count

    def close(self) -> None:
        """Give back what is held of nodes that cannot do their part."""
        self._nodes.close()
