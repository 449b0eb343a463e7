"""Work in Ray tasks: events in their order, and what is lost, cancelled, given back."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from distill_tune.cluster import task_pool
from distill_tune.cluster.node_watch import FixedNodes
from distill_tune.cluster.task_pool import Ended, Event, Failed, Reported, TaskPool
from distill_tune.errors import DiskFullError
from tests.commands import PATIENCE_S

HERE = ("node-1", "10.0.0.1")
OPTIONS = {"num_cpus": 1}
ERRORS: Any = ray.exceptions


class WatchedNodes:
    """Nodes that are there as long as a test says so, and that count how often they are closed."""

    def __init__(self, count: int = 1, alive: set[str] | None = None) -> None:
        self.count, self.alive = count, alive
        self.num_closed = 0

    def look(self) -> None:
        """See what the test says."""

    def close(self) -> None:
        self.num_closed += 1


class FakeStream:
    """What a task says, ready at once; an error among it is raised where it is fetched."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)

    def __next__(self) -> Any:
        if not self.items:
            raise StopIteration
        return SimpleNamespace(value=self.items.pop(0))


class FakeRay:
    """Ray's tasks without Ray: each stands for the stream that its function returns."""

    exceptions = ray.exceptions

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.cancelled: list[FakeStream] = []
        self.streams: list[FakeStream] = []
        self.taken_back: set[str] = set()

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        self.options = options
        return lambda _: SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._begin))

    def _begin(self, function: Callable[..., FakeStream], *arguments: Any) -> FakeStream:
        stream = function(*arguments)
        stream.items.insert(0, task_pool._TaskNode(*HERE))
        self.streams.append(stream)
        return stream

    def wait(self, streams: list[FakeStream], **_: Any) -> tuple[list[FakeStream], list[Any]]:
        return streams[:1], streams[1:]

    def get(self, item: Any) -> Any:
        if isinstance(item.value, BaseException):
            raise item.value
        return item.value

    def cancel(self, stream: FakeStream, *, force: bool) -> None:
        assert force
        self.cancelled.append(stream)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    made = FakeRay()
    monkeypatch.setattr(task_pool, "ray", made)
    monkeypatch.setattr(task_pool, "last_words", lambda _, detail: f"{detail} (said: bye)")
    monkeypatch.setattr(task_pool, "is_taken_back", lambda node: node in made.taken_back)
    return made


def saying(*items: Any) -> Callable[[], Any]:
    """Return a function whose task says these items; an exception is raised in its place."""
    return lambda: FakeStream(*items)


def heard(pool: TaskPool[str]) -> list[Event[str]]:
    """Return all events until nothing runs."""
    found: list[Event[str]] = []
    while pool.works:
        found += pool.listen()
    return found


def test_what_tasks_say_comes_in_order_and_their_end_last(fake: FakeRay) -> None:
    nodes = WatchedNodes(count=2)
    with TaskPool[str](nodes, OPTIONS, max_retries=2) as pool:
        pool.start("a", saying(1, 2))
        assert pool.has_room
        pool.start("b", saying(3))
        assert not pool.has_room
        assert pool.works == ["a", "b"]
        found = heard(pool)
        assert nodes.num_closed == 0
    assert found == [Reported("a", 1), Reported("a", 2), Ended("a"), Reported("b", 3), Ended("b")]
    assert fake.options == {"num_cpus": 1, "max_retries": 2, "num_returns": "streaming"}
    assert (nodes.num_closed, fake.cancelled) == (1, [])


@pytest.mark.usefixtures("fake")
def test_what_is_not_fetched_comes_as_a_reference() -> None:
    events: list[Event[str]] = []
    with TaskPool[str](FixedNodes(1), OPTIONS) as pool:
        pool.start("a", saying("outcome", "weights"), is_fetched=lambda: len(events) < 1)
        while pool.works:
            events += pool.listen()
    first, second, _ = events
    assert first == Reported("a", "outcome")
    assert isinstance(second, Reported)
    assert second.value.value == "weights"


MEMORY = "Task was killed due to the node running low on memory.\nMemory on the node was full"
FAILURES: list[tuple[Exception, str, str]] = [
    (ERRORS.RayTaskError("f", "trace", ValueError("shapes")), "error", "shapes"),
    (ERRORS.WorkerCrashedError(), "worker_lost", "(said: bye)"),
    (ERRORS.OutOfMemoryError(MEMORY), "out_of_memory", MEMORY.splitlines()[0]),
]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("error", "reason", "detail"), FAILURES)
def test_a_failure_has_a_name_and_a_line(error: Exception, reason: str, detail: str) -> None:
    with TaskPool[str](FixedNodes(2), OPTIONS) as pool:
        pool.start("a", saying(1, error))
        pool.start("b", saying(2))
        said, failed, *others = heard(pool)
    assert said == Reported("a", 1)
    assert isinstance(failed, Failed)
    assert (failed.work, failed.reason) == ("a", reason)
    assert failed.detail.endswith(detail)
    assert "\n" not in failed.detail
    # One that fails takes no other with it.
    assert others == [Reported("b", 2), Ended("b")]


def test_a_full_disk_ends_all_of_it(fake: FakeRay) -> None:
    full = OSError(28, "No space left on device")
    nodes = WatchedNodes()
    with TaskPool[str](nodes, OPTIONS) as pool:
        pool.start("a", saying(ERRORS.RayTaskError("f", "trace", full)))
        pool.start("b", saying(1))
        with pytest.raises(DiskFullError, match="No space left on device"):
            heard(pool)
    assert fake.cancelled == fake.streams[1:]
    assert nodes.num_closed == 1


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_node_that_the_cluster_takes_back_with_notice_is_told_from_a_lost_one(
    fake: FakeRay, *, is_taken: bool
) -> None:
    nodes = WatchedNodes(alive={HERE[0]})
    fake.taken_back = {HERE[0]} if is_taken else set()
    with TaskPool[str](nodes, OPTIONS) as pool:
        pool.start("a", saying(1, 2))
        assert list(pool.listen()) == []
        nodes.alive = set()
        (lost,) = list(pool.listen())[:1]
        assert isinstance(lost, Failed)
        assert (lost.reason, lost.is_taken_back) == ("node_lost", is_taken)


def test_work_of_a_node_that_is_gone_is_cancelled_and_lost(fake: FakeRay) -> None:
    nodes = WatchedNodes(alive={HERE[0]})
    with TaskPool[str](nodes, OPTIONS) as pool:
        pool.start("a", saying(1, 2))
        assert list(pool.listen()) == []
        assert list(pool.listen()) == [Reported("a", 1)]
        nodes.alive = {"node-2"}
        # Where it runs is not known yet: it may be there.
        pool.start("b", saying(3))
        (lost, *_) = list(pool.listen())
        assert lost == Failed("a", "node_lost", "node 10.0.0.1, which computed it, is lost")
        assert pool.works == ["b"]
        assert fake.cancelled == fake.streams[:1]
        assert heard(pool) == [Failed("b", "node_lost", lost.detail)]


@pytest.mark.parametrize("is_seen_before", [True, False])
def test_work_that_never_began_is_lost_a_while_after_a_node(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch, is_seen_before: bool
) -> None:
    """A cable is pulled before a task says where it runs; Ray notices it minutes later."""
    monkeypatch.setattr(fake, "wait", lambda streams, **_: ([], streams))
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep)
    monkeypatch.setattr(task_pool, "time", clock)
    nodes = WatchedNodes(alive={"node-1", "node-2"} if is_seen_before else None)
    with TaskPool[str](nodes, OPTIONS) as pool:
        pool.start("a", saying())
        nodes.alive = {"node-1", "node-2"}
        assert list(pool.listen()) == []
        nodes.alive = {"node-2"}
        assert list(pool.listen()) == []
        now[0] = task_pool._PATIENCE_S - 1
        # That the node comes back does not bring back the task.
        nodes.alive = {"node-1", "node-2"}
        assert list(pool.listen()) == []
        now[0] += 1
        (lost,) = pool.listen()
        assert isinstance(lost, Failed)
        assert (lost.work, lost.reason) == ("a", "node_lost")
        assert fake.cancelled == fake.streams
        nodes.alive = {"node-2"}
        pool.start("b", saying())
        now[0] += 1000
        assert list(pool.listen()) == [], "it began after the loss"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_left_by_an_error_it_cancels_all_and_closes_its_watch(
    fake: FakeRay, kind: type[BaseException]
) -> None:
    nodes = WatchedNodes(2)

    def leave() -> None:
        with TaskPool[str](nodes, OPTIONS) as pool:
            pool.start("a", saying(1))
            pool.start("b", saying(2))
            raise kind

    with pytest.raises(kind):
        leave()
    assert fake.cancelled == fake.streams
    assert nodes.num_closed == 1


def test_the_watch_is_closed_though_ray_is_gone(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ERRORS.RaySystemError("gone")

    monkeypatch.setattr(fake, "cancel", fail)
    nodes = WatchedNodes()

    def leave() -> None:
        with TaskPool[str](nodes, OPTIONS) as pool:
            pool.start("a", saying(1))

    with pytest.raises(ERRORS.RaySystemError, match="gone"):
        leave()
    assert nodes.num_closed == 1


def test_nothing_to_hear_is_waited_for(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who waits for another study would keep a core busy."""
    slept: list[float] = []
    monkeypatch.setattr("distill_tune.cluster.task_pool.time.sleep", slept.append)
    with TaskPool[str](FixedNodes(1), OPTIONS) as pool:
        assert list(pool.listen()) == []
    assert slept == [0.5]
    assert fake.streams == []


def numbers(then: str) -> Iterator[Any]:
    """Say two numbers; then fail, or go on without end."""
    yield from range(2)
    if then == "waits":
        time.sleep(1e6)
    raise ValueError("on purpose")


def parts() -> Iterator[Any]:
    """Say that something comes, and then what."""
    yield "parts"
    yield [1, 2, 3]


def total(numbers: list[int], more: int) -> Iterator[int]:
    """Say a sum."""
    yield sum(numbers) + more


def until(pool: TaskPool[str], count: int) -> list[Event[str]]:
    """Return the next events, so many."""
    found: list[Event[str]] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < end
        found += pool.listen()
    return found


def free_cpus() -> float:
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return free.get("CPU", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("our_ray")
def test_rays_own_tasks_say_fail_and_pass_on() -> None:
    """With Ray itself: errors, references, a node that is gone, an early end."""
    nodes, every = WatchedNodes(), free_cpus()
    with TaskPool[str](nodes, OPTIONS) as pool:
        pool.start("numbers", numbers, "raises")
        zero, one, failed = until(pool, 3)
        assert (zero, one) == (Reported("numbers", 0), Reported("numbers", 1))
        assert isinstance(failed, Failed)
        assert (failed.reason, failed.detail) == ("error", "on purpose")
        assert isinstance(failed.error, ValueError)

        kept: list[Any] = []
        pool.start("parts", parts, is_fetched=lambda: not kept)
        while pool.works:
            kept += [event.value for event in pool.listen() if isinstance(event, Reported)]
        assert isinstance(kept[1], ray.ObjectRef)
        pool.start("total", total, kept[1], 4)
        assert until(pool, 2) == [Reported("total", 10), Ended("total")]

        pool.start("gone", numbers, "waits")
        until(pool, 2)
        nodes.alive = set()
        (gone,) = until(pool, 1)
        assert isinstance(gone, Failed)
        assert gone.reason == "node_lost"
        nodes.alive = None
        pool.start("stopped", numbers, "waits")
        until(pool, 2)
    assert nodes.num_closed == 1
    end = time.monotonic() + PATIENCE_S
    while free_cpus() < every:
        assert time.monotonic() < end
        time.sleep(0.1)
