"""Watch on a cluster's nodes, which come and go while work runs on them."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from distill_tune.cluster.joining_nodes import NodeGuard
from distill_tune.cluster.resources import Slots, alive_nodes, fitting
from distill_tune.records.directory import StudyDirectory

_LOOK_EVERY_S = 5.0


class Nodes(Protocol):
    """Nodes of a cluster, which come and go."""

    @property
    def count(self) -> int:
        """Tasks that fit at a time, as of the last look."""

    @property
    def alive(self) -> Collection[str] | None:
        """Ray's ids of the nodes that are alive, as of the last look; None before the first."""

    def look(self) -> None:
        """Update the nodes, unless that was done a moment ago."""

    def close(self) -> None:
        """Release the resources held on nodes that cannot do their part."""


@dataclass(frozen=True)
class FixedNodes:
    """Nodes that are not watched: a task on a lost node fails when Ray notices the loss."""

    count: int
    alive: None = None

    def look(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class NodeWatch:
    """Watch on the nodes that are alive and usable, and on how many trials they hold.

    Args:
        slots: Slots and nodes at the start.
        most: Most trials at a time that the user wants; None = no limit.
        directory: The study that every node must see.
        warn: Takes a warning for each node that joins and cannot do its part.

    Attributes:
        count: Trials at a time as of the last look, at least 1: a cluster without any room is still
            given one trial, which waits for a node.
        alive: Ray's ids of the nodes that were alive at the last look; None before the first.
    """

    def __init__(
        self,
        slots: Slots,
        most: int | None,
        directory: StudyDirectory,
        warn: Callable[[str], None],
    ) -> None:
        self.count = slots.count
        self._bundle, self._most = slots.bundle, most
        self._guard = NodeGuard(slots, directory, warn)
        self.alive: set[str] | None = None
        self._last_look = time.monotonic()

    def look(self) -> None:
        """Update the nodes, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._last_look < _LOOK_EVERY_S:
            return
        self._last_look = now
        nodes = alive_nodes()
        self.alive = {node["NodeID"] for node in nodes}
        there = (node["Resources"] for node in self._guard.usable(nodes))
        self.count = max(1, fitting(self._bundle, there, self._most))

    def close(self) -> None:
        """Release the resources held on nodes that cannot do their part."""
        self._guard.close()
