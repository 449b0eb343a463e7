"""A clock for code that measures time, so that a busy machine does not change what a test sees."""


class Clock:
    """A clock that stands still but for what it is told; in place of a module's ``time``."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds since its start."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
