"""Watch over the start of Ray, which blocks in native code for as long as the machine is busy."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TELL_EVERY_S = 30.0
_INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended, as shells have it."""


@contextmanager
def start_watched(every_s: float = _TELL_EVERY_S) -> Iterator[None]:
    """Say on standard error that Ray still starts, and let a second Ctrl-C end the process.

    Python's own handlers do not run until native code returns. Nothing is lost: the processes that
    Ray has started here end with this one, and no work has begun. Ctrl-C is watched in the main
    thread only.

    Args:
        every_s: Seconds between messages.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False) if is_main else -1
    watch = threading.Thread(target=_watch, args=(reader, every_s), daemon=True)
    watch.start()
    try:
        yield
    finally:
        if is_main:
            signal.set_wakeup_fd(before)
        os.close(writer)
        watch.join()
        os.close(reader)


def _watch(reader: int, every_s: float) -> None:
    """Watch until the other end of the pipe is closed."""
    began, interrupts = time.monotonic(), 0
    while True:
        is_told = bool(select.select([reader], [], [], every_s)[0])
        if not is_told:
            _say(f"Ray is still starting, {time.monotonic() - began:.0f} s so far")
            continue
        signals = os.read(reader, 64)
        if not signals:
            return
        interrupts += signals.count(signal.SIGINT)
        if interrupts > 1:
            _say("interrupted while Ray was starting; nothing had begun")
            os._exit(_INTERRUPTED)
        if signal.SIGINT in signals:
            _say("interrupted; it ends once Ray has started (press Ctrl-C again to end at once)")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
