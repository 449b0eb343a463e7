"""What a console shows between two events: the time left, and signs of life."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from distill_tune.records.formatting import duration

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.live import Live

_SILENCE_S = 10.0
_SHARE = 1 / 120
"""Of the time so far, the longest silence: the log of a search of hours stays short."""
_LOOK_EVERY_S = 0.5

Clock = Callable[[], float]


class Countdown:
    """Estimated time left, which passes until it is set again.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or time.monotonic
        self._end = math.nan

    def set(self, seconds: float) -> None:
        """Set the seconds left; ``nan`` if unknown."""
        self._end = self._clock() + seconds

    def words(self, bound: str = "about") -> str:
        """Return words such as ``about 3m 05s left``; empty if unknown or used up."""
        left = self._end - self._clock()
        return f"{bound} {duration(left)} left" if left >= 1 else ""


class Heartbeat:
    """Caller of a function whenever nothing was shown for a while; a context manager.

    Nothing may be shown for ten seconds; after twenty minutes, for more and more.

    Args:
        beat: Shows a sign of life. It is called in a thread of its own.
        clock: Returns seconds.
    """

    def __init__(self, beat: Callable[[], None], clock: Clock = time.monotonic) -> None:
        self._beat, self._clock = beat, clock
        self._began = self._shown_at = clock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._began = self._shown_at = self._clock()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None:
            self.shown()

    def shown(self) -> None:
        """Count the silence from now on.

        Raises:
            BaseException: Whatever showing a sign of life raised, such as a SystemExit because the
                reader of the output is gone.
        """
        if self._error is not None:
            raise self._error
        self._shown_at = self._clock()

    def beat_if_due(self) -> None:
        """Show a sign of life if nothing was shown for too long."""
        now = self._clock()
        if now - self._shown_at >= max(_SILENCE_S, _SHARE * (now - self._began)):
            self._shown_at = now
            self._beat()

    def _run(self) -> None:
        try:
            while not self._over.wait(_LOOK_EVERY_S):
                self.beat_if_due()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised by shown()
            # Here it would end this thread only, and the output would be silent from now on.
            self._error = error


@contextmanager
def patience(console: "Console", text: str) -> Iterator[Callable[[str], None]]:
    """Show what goes on and for how long: on a terminal one line, which is renewed.

    Anything else gets a line every ten seconds, if it takes so long.

    Args:
        console: Where it is shown.
        text: What goes on at first.

    Yields:
        A function that replaces the text.
    """
    shown = _Activity(text)
    if console.is_terminal:
        with _renewed_line(console, shown.line):
            yield shown.say
    else:
        with Heartbeat(lambda: console.print(shown.line(), markup=False, soft_wrap=True)):
            yield shown.say


class _Activity:
    """Text of the present work, and the time since its start."""

    def __init__(self, text: str) -> None:
        self._text, self._began = text, time.monotonic()

    def say(self, text: str) -> None:
        self._text = text

    def line(self) -> str:
        return f"{self._text}: {duration(time.monotonic() - self._began)} so far"


def _renewed_line(console: "Console", line: Callable[[], str]) -> "Live":
    """Return a line that is renewed while the context is entered, and removed at its end."""
    from rich.live import Live
    from rich.text import Text

    return Live(
        get_renderable=lambda: Text(line(), no_wrap=True, overflow="ellipsis"),
        console=console,
        refresh_per_second=2,
        transient=True,
    )
