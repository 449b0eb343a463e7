"""Ctrl-C and SIGTERM in a training: the first stops it at its next report, the second at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = "\nstopping after this epoch; Ctrl-C again stops at once\n"


@contextmanager
def stopping_at_a_report() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a stop was requested.

    Outside the main thread, where no signal arrives, it always returns False.

    Raises:
        KeyboardInterrupt: Raised in the body by the second signal.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not with print: the signal may have interrupted one.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _MESSAGE.encode())

    before = {which: signal.signal(which, ask) for which in _SIGNALS}
    try:
        yield asked.is_set
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
