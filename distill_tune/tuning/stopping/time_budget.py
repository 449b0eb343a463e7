"""Rules that stop a search before its last trial: the time budget, and a cluster's SIGTERM."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeBudget:
    """Time that a session may take.

    It interrupts nothing. The work asks, in whichever thread it is done, and ends in its own way.

    Args:
        seconds: How long; None = no limit.

    Attributes:
        has_ended_work: Whether work was told that the time is over.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._until = math.inf
        self.has_ended_work = False

    def start(self) -> None:
        """Let the time run from now on."""
        if self._seconds is not None:
            self._until = time.monotonic() + self._seconds

    def is_over(self) -> bool:
        """Return whether the time is over; whoever asks ends its work then."""
        is_over = time.monotonic() >= self._until
        self.has_ended_work = self.has_ended_work or is_over
        return is_over


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as a cluster's scheduler sends it, end a session as Ctrl-C does.

    Only the first one does: a scheduler may repeat it while the session ends. This also works where
    Ctrl-C is ignored, as it is for background jobs of a shell script; Ray Tune listens to it there
    as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_terminated = threading.Event()

    def interrupt(*_: object) -> None:
        if not is_terminated.is_set():
            is_terminated.set()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if is_ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
