"""Work that fails before it has reported anything: once it is clear that nothing starts, it ends.

A package that a worker cannot import, a process that the system does not let live: such a cause
meets every trial alike, and each would be tried again as often as ``search.max_failures`` says.
"""

import re
from collections.abc import Iterable

from distill_tune.errors import NoTrialSucceededError

_ENOUGH, _SEVERAL = 3, 2
LOST = "worker_lost"
"""How a cause begins whose rest, in Ray's words, tells nothing that it has in common."""
_CHANGING = re.compile(r"\b(0x)?[0-9a-f]{8,}\b|\d+", re.IGNORECASE)


class StartFailures:
    """What failed at its start in this session, as long as nothing has got any further."""

    def __init__(self) -> None:
        self._is_over = False
        self._of: dict[str, list[tuple[str, str]]] = {}

    def begun(self) -> None:
        """Take that something has computed: from now on failures are its own affair."""
        self._is_over = True

    def add(self, who: str, backbone: str, cause: str, backbones: Iterable[str]) -> None:
        """Take that something failed at its start.

        Args:
            who: A trial, a run or a shared stage.
            backbone: Its backbone.
            cause: Why, in a line that begins with the reason.
            backbones: All that are still to be tried.

        Raises:
            NoTrialSucceededError: It was so for different ones, of every backbone, again and again.
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
                f"It came to that {len(alike)} times ({listed}), and nothing has got any further; "
                "what had not ended is open still."
            )
