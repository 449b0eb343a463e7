"""The cluster's nodes, looked at every few seconds: they come and go while work runs on them."""

import time
from typing import Any, NamedTuple, Protocol, TypeVar

import ray

from distill_tune.search.cluster import Slots, alive_nodes, fitting, own_address
from distill_tune.search.journal import Journal
from distill_tune.search.node_guard import NodeGuard

_LOOK_EVERY_S = 5.0


class Begun(NamedTuple):
    """A task's first report: where it runs.

    Attributes:
        node: Ray's id of the node, in hexadecimal.
        address: That node's.
    """

    node: str
    address: str


class Placed(Protocol):
    """Work that a task does, and where, once that is known."""

    begun: Begun | None


W = TypeVar("W", bound=Placed)


def begun() -> Begun:
    """Return where the task that asks runs."""
    return Begun(ray.get_runtime_context().get_node_id(), own_address())


class NodeWatch:
    """Which nodes are there and can do their part, and how many trials they hold.

    Ray itself notices that a task's node is lost when the connection to it breaks, which takes
    minutes where a cable is pulled; its list of nodes knows within seconds.

    Args:
        slots: What there was at first.
        most: Trials at a time that the user wants at most; None = no limit.
        journal: Told of a node that joins and cannot do its part.

    Attributes:
        count: Trials at a time as of the last look, at least 1: a cluster that has no room left at
            all is still given one, which waits for a node.
    """

    def __init__(self, slots: Slots, most: int | None, journal: Journal) -> None:
        self.count = slots.count
        self._bundle, self._most = slots.bundle, most
        self._guard = NodeGuard(journal, slots)
        self._alive: set[str] | None = None
        self._looked = time.monotonic()

    def look(self) -> None:
        """Look at the nodes, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        nodes = alive_nodes()
        self._alive = {node["NodeID"] for node in nodes}
        there = (node["Resources"] for node in self._guard.usable(nodes))
        self.count = max(1, fitting(self._bundle, there, self._most))

    def close(self) -> None:
        """Give back what is held of nodes that cannot do their part."""
        self._guard.close()

    def take_lost(self, running: dict[Any, W]) -> list[tuple[W, str]]:
        """Look at the nodes; take out and cancel the tasks on those that are not there any more.

        Args:
            running: Task to what it works at.

        Returns:
            What each of them worked at, and in words what became of it.
        """
        self.look()
        lost = []
        for task, work in list(running.items()):
            if self._alive is None or work.begun is None or work.begun.node in self._alive:
                continue
            del running[task]
            ray.cancel(task, force=True)
            lost.append((work, f"node {work.begun.address}, which computed it, is lost"))
        return lost
