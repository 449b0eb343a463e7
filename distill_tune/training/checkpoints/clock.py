"""Clock of a trial's checkpoints, which may take a small share of the trial's time."""

import time
from collections.abc import Callable

_BYTES_PER_S = 2e8
"""Bytes per second assumed for writing and copying before the first checkpoint is measured."""


class CheckpointClock:
    """Clock that says when a checkpoint is due.

    One is due when it and all before it take at most ``share`` of the time since the trial began or
    went on. It is expected to take as long as the last one.

    Args:
        share: Largest share of the trial's time, in (0, 1]; 1 = after every epoch.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._start = time.monotonic()
        self._begun: float | None = None
        self._last_s: float | None = None
        self._spent_s = 0.0

    def is_due(self, num_bytes: Callable[[], int]) -> bool:
        """Return whether a checkpoint is due.

        Args:
            num_bytes: Returns its size; called until one was measured.
        """
        expected_s = num_bytes() / _BYTES_PER_S if self._last_s is None else self._last_s
        elapsed_s = time.monotonic() - self._start
        return self._spent_s + expected_s <= self._share * (elapsed_s + expected_s)

    def begin(self) -> None:
        """Note that the trial stands for a checkpoint from now on."""
        self._begun = time.monotonic()

    def end(self) -> None:
        """Note that the trial goes on, if it stood."""
        if self._begun is not None:
            self._last_s = time.monotonic() - self._begun
            self._spent_s += self._last_s
            self._begun = None
