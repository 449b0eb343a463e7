"""Failures before the first report, which end the search once it is clear that nothing starts.

A cause such as a package that a worker cannot import, or a process that the system does not let
run, affects every trial alike. Without this check, each trial would be retried
``search.max_failures`` times.
"""

import re
from collections.abc import Iterable

from distill_tune.errors import NoTrialSucceededError

_ENOUGH, _SEVERAL = 3, 2
LOST = "worker_lost"
"""Prefix of the causes of lost workers; the rest, in Ray's words, is not compared."""
_CHANGING = re.compile(r"\b(0x)?[0-9a-f]{8,}\b|\d+", re.IGNORECASE)


class StartFailures:
    """Failures at start in this session, counted until something gets further."""

    def __init__(self) -> None:
        self._is_over = False
        self._of: dict[str, list[tuple[str, str]]] = {}

    def begun(self) -> None:
        """Record that something has computed: later failures are no longer counted."""
        self._is_over = True

    def add(self, who: str, backbone: str, cause: str, backbones: Iterable[str]) -> None:
        """Record a failure at start.

        Args:
            who: A trial, a run or a shared stage.
            backbone: Its backbone.
            cause: Why, in a line that begins with the reason.
            backbones: All that are still to be tried.

        Raises:
            NoTrialSucceededError: The same cause occurred at least three times, for at least two
                different names and for every backbone.
        """
        if self._is_over:
            return
        kind = LOST if cause.startswith(LOST) else _CHANGING.sub("#", cause)
        alike = self._of.setdefault(kind, [])
        alike.append((who, backbone))
        names = {name for name, _ in alike}
        is_everywhere = set(backbones) <= {one for _, one in alike}
        if len(alike) >= _ENOUGH and len(names) >= _SEVERAL and is_everywhere:
            listed = ", ".join(sorted(names))
            raise NoTrialSucceededError(
                f"nothing starts: {cause}\n"
                f"This happened {len(alike)} times ({listed}), and nothing got any further. "
                "Unfinished work stays open."
            )
