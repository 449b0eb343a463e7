"""Ctrl-C and SIGTERM in a training: the first stops it at its next report, the second at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = "stopping after this epoch; Ctrl-C again stops at once"


@contextmanager
def stopping_at_a_report(say: Callable[[str], object]) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a stop was requested.

    Outside the main thread, where no signal arrives, it always returns False.

    Args:
        say: Takes the line that tells of the first signal, in a thread of its own: the signal may
            have interrupted another line.

    Raises:
        KeyboardInterrupt: Raised in the body by the second signal.
    """
    asked, woken = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        woken.set()

    def tell() -> None:
        woken.wait()
        if asked.is_set():
            with suppress(OSError):  # The reader of the output may be gone.
                say(_MESSAGE)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    before = {which: signal.signal(which, ask) for which in _SIGNALS}
    try:
        yield asked.is_set
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        woken.set()
        teller.join()
