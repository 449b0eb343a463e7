"""The cluster's nodes, looked at every few seconds: they come and go while work runs on them."""

import time
from typing import NamedTuple

import ray

from distill_tune.search.cluster import Slots, alive_nodes, fitting

_LOOK_EVERY_S = 5.0


class Begun(NamedTuple):
    """A task's first report: where it runs.

    Attributes:
        node: Ray's id of the node, in hexadecimal.
        address: That node's.
    """

    node: str
    address: str


def begun() -> Begun:
    """Return where the task that asks runs."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return Begun(ray.get_runtime_context().get_node_id(), address)


class NodeWatch:
    """Which nodes are there, and how many trials they hold.

    Ray itself notices that a task's node is lost when the connection to it breaks, which takes
    minutes where a cable is pulled; its list of nodes knows within seconds.

    Args:
        slots: What there was at first.
        most: Trials at a time that the user wants at most; None = no limit.

    Attributes:
        count: Trials at a time as of the last look, at least 1: a cluster that has no room left at
            all is still given one, which waits for a node.
    """

    def __init__(self, slots: Slots, most: int | None) -> None:
        self.count = slots.count
        self._bundle, self._most = slots.bundle, most
        self._alive: set[str] | None = None
        self._looked = time.monotonic()

    def look(self) -> bool:
        """Look at the nodes, unless that was done a moment ago; tell whether it was done now."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return False
        self._looked = now
        nodes = alive_nodes()
        self._alive = {node["NodeID"] for node in nodes}
        there = (node["Resources"] for node in nodes)
        self.count = max(1, fitting(self._bundle, there, self._most))
        return True

    def has_lost(self, begun: Begun) -> bool:
        """Tell whether work began on a node that was not there any more at the last look."""
        return self._alive is not None and begun.node not in self._alive
