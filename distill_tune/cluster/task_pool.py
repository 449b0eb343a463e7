"""Work run as Ray tasks: placement, messages, ends, and lost nodes and workers.

Shared stages, the runs of a confirmation and rehearsals use this. Each adds only its own policy:
when to start what, and how to act on a task's messages.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

import ray

from distill_tune.cluster.failures.memory_kills import is_memory_kill
from distill_tune.cluster.failures.ray_errors import cause_of, in_a_line, names_taken_node
from distill_tune.cluster.failures.worker_logs import last_words
from distill_tune.cluster.resources import is_taken_back
from distill_tune.errors import DiskFullError, is_disk_full

if TYPE_CHECKING:
    from types import TracebackType

    from distill_tune.cluster.node_watch import Nodes

_LOOK_EVERY_S = 0.5
_PATIENCE_S = 30.0
"""Time that a task has to say where it runs, once a node is lost."""

W = TypeVar("W")


@dataclass(frozen=True)
class Reported(Generic[W]):
    """Message of a task.

    Attributes:
        work: The task's work.
        value: What it yielded; a Ray reference if it is not fetched.
    """

    work: W
    value: Any


@dataclass(frozen=True)
class Ended(Generic[W]):
    """End of a task, after all its messages."""

    work: W


@dataclass(frozen=True)
class Failed(Generic[W]):
    """Failure or loss of a task.

    Attributes:
        work: The task's work.
        reason: ``node_lost``; ``worker_lost``, its process died; ``out_of_memory``, Ray's memory
            monitor killed it; ``error``, its own code raised.
        detail: Why, in a line.
        error: What its code or Ray raised; None if its node was lost.
        is_taken_back: Whether the cluster took its node back with notice.
    """

    work: W
    reason: str
    detail: str
    error: BaseException | None = None
    is_taken_back: bool = False


Event = Reported[W] | Ended[W] | Failed[W]


class _TaskNode(NamedTuple):
    """Place where a task runs: Ray's id of the node, and its address."""

    node: str
    address: str


@dataclass
class _Task(Generic[W]):
    """Running task.

    Attributes:
        work: What it computes.
        is_fetched: Whether its next message is fetched.
        place: Where it runs, once it has said so.
        nodes: Nodes on which it may run, if it has not.
        overdue: When it must have said so, because one of these nodes is lost.
    """

    work: W
    is_fetched: Callable[[], bool]
    place: _TaskNode | None = None
    nodes: frozenset[str] | None = None
    overdue: float = math.inf

    def loss(self, alive: frozenset[str]) -> str | None:
        """Return why its node is lost, in a line; None if it is alive or may be."""
        if self.place is not None:
            is_lost = self.place.node not in alive
            return f"node {self.place.address}, which computed it, is lost" if is_lost else None
        self.nodes = self.nodes or alive
        if self.overdue == math.inf and not self.nodes <= alive:
            self.overdue = time.monotonic() + _PATIENCE_S
        is_overdue = time.monotonic() >= self.overdue
        return "a node is lost, and it has not begun on another one" if is_overdue else None


class TaskPool(Generic[W]):
    """Pool that runs work as Ray tasks; a context manager.

    On exit, it cancels whatever still runs and closes its watch on the nodes.

    Ray itself notices a lost node when the connection to it breaks, which takes minutes if a cable
    is pulled. Its list of nodes, which the pool polls, is up to date within seconds.

    Args:
        nodes: Where tasks run.
        options: Options of ``ray.remote`` that give each task its resources.
        max_retries: How often Ray itself restarts a task whose worker died. Only for tasks that
            then repeat their messages.
    """

    def __init__(self, nodes: "Nodes", options: Mapping[str, Any], *, max_retries: int = 0) -> None:
        self._nodes = nodes
        asked = {**options, "max_retries": max_retries, "num_returns": "streaming"}
        self._remote = ray.remote(**asked)(_placed)
        self._running: dict[Any, _Task[W]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        try:
            for stream in self._running:
                ray.cancel(stream, force=True)
        finally:
            self._running = {}
            self._nodes.close()

    @property
    def works(self) -> list[W]:
        """Work that is being computed."""
        return [task.work for task in self._running.values()]

    @property
    def has_room(self) -> bool:
        """True if another task would run at once."""
        return len(self._running) < self._nodes.count

    def start(
        self,
        work: W,
        function: Callable[..., Iterator[Any]],
        *arguments: Any,
        is_fetched: Callable[[], bool] = lambda: True,
    ) -> None:
        """Start work.

        Args:
            work: Named by the task's events.
            function: Runs in a process of Ray's and yields its messages.
            arguments: The function's; Ray references are replaced by their values.
            is_fetched: Returns whether the next message is fetched to this process. A message that
                is not fetched stays where it is, to be passed to another task.
        """
        task = self._remote.options(name=function.__name__)
        alive = self._nodes.alive
        nodes = None if alive is None else frozenset(alive)
        self._running[task.remote(function, *arguments)] = _Task(work, is_fetched, nodes=nodes)

    def listen(self) -> Iterator[Event[W]]:
        """Yield what came of the tasks within a moment, at most one event per task.

        Raises:
            DiskFullError: A task found no room to write.
        """
        yield from self._lost()
        if not self._running:
            time.sleep(_LOOK_EVERY_S)
            return
        ready, _ = ray.wait(
            list(self._running), num_returns=1, timeout=_LOOK_EVERY_S, fetch_local=False
        )
        for stream in ready:
            yield from self._advance(stream)

    def _lost(self) -> Iterator[Failed[W]]:
        """Remove and cancel the tasks on nodes that are gone."""
        self._nodes.look()
        if self._nodes.alive is None:
            return
        alive = frozenset(self._nodes.alive)
        for stream, task in list(self._running.items()):
            if why := task.loss(alive):
                del self._running[stream]
                ray.cancel(stream, force=True)
                is_taken = task.place is not None and is_taken_back(task.place.node)
                yield Failed(task.work, "node_lost", why, is_taken_back=is_taken)

    def _advance(self, stream: Any) -> Iterator[Event[W]]:
        task = self._running[stream]
        try:
            item = next(stream)
            value = ray.get(item) if task.place is None or task.is_fetched() else item
        except StopIteration:
            del self._running[stream]
            yield Ended(task.work)
        except ray.exceptions.RayError as error:
            del self._running[stream]
            yield _failed(task.work, error)
        else:
            if task.place is None:
                task.place = value
            else:
                yield Reported(task.work, value)


def _placed(function: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
    """Yield where this task runs, then the messages of its work."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    yield _TaskNode(ray.get_runtime_context().get_node_id(), address)
    # Not `yield from`: Ray sends to the generator, which not every iterator accepts.
    for output in function(*arguments):  # noqa: UP028
        yield output


def _failed(work: W, error: BaseException) -> Failed[W]:
    cause = cause_of(error)
    detail = in_a_line(cause)
    if is_disk_full(cause):
        raise DiskFullError(detail) from error
    if is_memory_kill(error):
        return Failed(work, "out_of_memory", detail, cause)
    if isinstance(error, ray.exceptions.RayTaskError):
        return Failed(work, "error", detail, cause)
    is_taken = names_taken_node(cause)
    return Failed(work, "worker_lost", last_words(error, detail), cause, is_taken_back=is_taken)
