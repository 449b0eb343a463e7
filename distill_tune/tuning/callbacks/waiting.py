"""Warning about trials that wait for long because the cluster has no room for them."""

import time
from collections import Counter
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial

from distill_tune.cluster.resources import free_resources, in_words
from distill_tune.tuning.callbacks.capacity import CapacityCallback
from distill_tune.tuning.journal import Journal

_PATIENCE_S = 120.0


class WaitingCallback(tune.Callback):
    """Callback that warns that trials wait for long, once each time that it happens.

    Args:
        journal: Takes the warning.
        capacity: Resources of a trial, and how many should run at a time now.
    """

    def __init__(self, journal: Journal, capacity: CapacityCallback) -> None:
        self._journal, self._capacity = journal, capacity
        self._since: float | None = None
        self._is_warned = False

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    def on_step_end(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],
        **info: Any,  # noqa: ARG002
    ) -> None:
        states = Counter(trial.status for trial in trials)
        num_running, num_waiting = states[RayTrial.RUNNING], states[RayTrial.PENDING]
        if not num_waiting or num_running >= self._capacity.count:
            self._since, self._is_warned = None, False
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= _PATIENCE_S and not self._is_warned:
            self._is_warned = True
            self._journal.warn(self._text(num_running, num_waiting))

    def _text(self, num_running: int, num_waiting: int) -> str:
        free = free_resources()
        there = in_words({kind: free.get(kind, 0) for kind in self._capacity.bundle})
        return (
            f"for {_PATIENCE_S:.0f} s only {num_running} of {self._capacity.count} trials run at a "
            f"time: {num_waiting} wait for {in_words(self._capacity.bundle)} each; the cluster has "
            f"{there} free, on all its nodes together"
        )
