"""Rules that stop a search before its last trial: the time budget, and a cluster's SIGTERM."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class TimeBudget:
    """Interrupts this process as Ctrl-C does once its time is over; a context manager.

    Args:
        seconds: How long it may run; None = no limit.

    Attributes:
        is_over: Whether the time is over.
    """

    def __init__(self, seconds: float | None) -> None:
        self.is_over = False
        self._timer = None if seconds is None else threading.Timer(seconds, self._interrupt)

    def _interrupt(self) -> None:
        self.is_over = True
        os.kill(os.getpid(), signal.SIGINT)

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


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
