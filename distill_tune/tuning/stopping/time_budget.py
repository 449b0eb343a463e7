"""Rules that stop a search before its last trial: the time budget, and a cluster's SIGTERM."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TimeBudget:
    """Interrupts this process as Ctrl-C does once its time is over.

    Args:
        seconds: How long it may run; None = no limit.

    Attributes:
        is_over: Whether the time is over.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.is_over = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the time run while the context is open."""
        if self._seconds is None:
            yield
            return
        timer = threading.Timer(self._seconds, self._interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _interrupt(self) -> None:
        self.is_over = True
        os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as a cluster's scheduler sends it, end a session as Ctrl-C does.

    This also works where Ctrl-C is ignored, as it is for background jobs of a shell script; Ray
    Tune listens to it there as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if is_ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
