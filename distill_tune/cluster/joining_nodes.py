"""Nodes that join a cluster while work runs: they get work once they have passed a check."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from distill_tune.cluster.node_start_checks import PATIENCE_S, answer, ask, on_node
from distill_tune.cluster.resources import Slots, fitting, task_options
from distill_tune.records.directory import STUDY_FILE, StudyDirectory

_ASK_AGAIN_S = 60.0


@dataclass
class _Newcomer:
    """Node that joined and has not yet passed its check.

    Attributes:
        call: The check that runs on it now, if any.
        until: When to check it again, or to stop waiting for its answer; monotonic seconds.
        holders: Tasks that hold its resources after it failed the check.
    """

    address: str
    call: Any = None
    until: float = 0.0
    holders: list[Any] = field(default_factory=list)


class NodeGuard:
    """Guard that keeps work off new nodes that cannot do it.

    Such a node is reported, and idle tasks take its resources, so that Ray places nothing on it. It
    is checked again every minute, and gets work once it passes.

    Args:
        slots: Resources of a trial, and the nodes that were checked beforehand.
        directory: The study that every node must see.
        warn: Takes a warning.
    """

    def __init__(
        self, slots: Slots, directory: StudyDirectory, warn: Callable[[str], None]
    ) -> None:
        self._slots, self._bundle, self._warn = slots, slots.bundle, warn
        self._mark = Path(directory.path(STUDY_FILE)) if directory.is_local else None
        self._fit = set(slots.nodes)
        self._newcomers: dict[str, _Newcomer] = {}

    def usable(self, nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the nodes that have passed their check.

        Args:
            nodes: All nodes that are alive now, as Ray describes them.
        """
        there = {node["NodeID"]: node for node in nodes}
        for gone in self._newcomers.keys() - there.keys():
            del self._newcomers[gone]
        for name, node in there.items():
            if name not in self._fit and fitting(self._bundle, [node["Resources"]], None):
                self._check(name, node)
        return [node for name, node in there.items() if name in self._fit]

    def _check(self, name: str, node: dict[str, Any]) -> None:
        """Ask a node, or take its answer if there is one."""
        newcomer = self._newcomers.setdefault(name, _Newcomer(node["NodeManagerAddress"]))
        now = time.monotonic()
        if newcomer.call is None:
            if now >= newcomer.until:
                newcomer.call = ask(name, self._mark, self._slots)
                newcomer.until = now + PATIENCE_S
            return
        ready, late = ray.wait([newcomer.call], timeout=0)
        if late and now < newcomer.until:
            return
        why = answer(newcomer.call).in_words(self._mark) if ready else "no answer"
        newcomer.call, newcomer.until = None, now + _ASK_AGAIN_S
        if why:
            self._hold(name, node, newcomer, why)
            return
        if newcomer.holders:
            self._warn(f"{newcomer.address} can do its part now, and gets work")
        self._let_go(newcomer)
        del self._newcomers[name]
        self._fit.add(name)

    def _hold(self, name: str, node: dict[str, Any], newcomer: _Newcomer, why: str) -> None:
        if newcomer.holders:
            return
        self._warn(
            f"{newcomer.address} joined but gets no work: {why}; it is asked again every minute"
        )
        task = ray.remote(**task_options(self._bundle), max_retries=0)(lambda: time.sleep(1e9))
        count = fitting(self._bundle, [node["Resources"]], None)
        newcomer.holders = [task.options(**on_node(name)).remote() for _ in range(count)]

    def _let_go(self, newcomer: _Newcomer) -> None:
        for holder in newcomer.holders:
            ray.cancel(holder, force=True)
        newcomer.holders = []

    def close(self) -> None:
        """Release the resources held on nodes that cannot do their part."""
        for newcomer in self._newcomers.values():
            self._let_go(newcomer)
        self._newcomers = {}
