"""A node that joins: it gets no work while it lacks something, and is heard again."""

import time
from pathlib import Path

import pytest
import ray

from distill_tune.cluster import joining_nodes
from distill_tune.cluster.joining_nodes import NodeGuard
from distill_tune.cluster.resources import Slots, alive_nodes
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.tuning.journal import Journal
from tests.beside import until
from tests.commands import of_kind, read_events

pytestmark = pytest.mark.usefixtures("our_ray")


class Joined:
    """The node of a Ray, for a guard that does not know it yet, and a study that is not there."""

    def __init__(self, folder: Path, again_s: float, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(joining_nodes, "_ASK_AGAIN_S", again_s)
        self.folder = folder
        journal = Journal(StudyDirectory(str(folder)), lambda *_: None)
        self.guard = NodeGuard(Slots({"CPU": 1}, 1), journal.directory, journal.warn)

    def is_usable(self) -> bool:
        return bool(self.guard.usable(alive_nodes()))

    def has_warned(self) -> bool:
        self.guard.usable(alive_nodes())
        return (self.folder / "events.jsonl").exists()

    def warnings(self) -> list[str]:
        return [str(event["text"]) for event in of_kind(read_events(self.folder), "warning")]


def wait_for_all_cpus() -> float:
    """Wait until nothing of the tests before holds any; return how many there are."""
    every: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    until(lambda: free_cpus() == every["CPU"])
    return every["CPU"]


def free_cpus() -> float:
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return free.get("CPU", 0)


def test_what_it_has_is_held_until_it_sees_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = wait_for_all_cpus()
    (node,) = alive_nodes()
    joined = Joined(tmp_path, 0.5, monkeypatch)
    until(joined.has_warned)
    address = node["NodeManagerAddress"]
    lacks = f"{address} joined but gets no work: {tmp_path}: does not see it"
    assert joined.warnings() == [f"{lacks}; it is asked again every minute"]
    until(lambda: free_cpus() == 0)
    time.sleep(2)
    assert not joined.is_usable()
    assert len(joined.warnings()) == 1
    (tmp_path / STUDY_FILE).touch()
    until(joined.is_usable)
    assert joined.warnings()[1:] == [f"{address} can do its part now, and gets work"]
    until(lambda: free_cpus() == every)
    assert joined.is_usable()
    assert list(tmp_path.glob(".seen*")) == []


def test_what_is_held_is_given_back_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = wait_for_all_cpus()
    joined = Joined(tmp_path, 99, monkeypatch)
    until(joined.has_warned)
    until(lambda: free_cpus() == 0)
    joined.guard.close()
    until(lambda: free_cpus() == every)


@pytest.mark.slow
def test_one_that_can_do_its_part_is_used_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STUDY_FILE).touch()
    joined = Joined(tmp_path, 99, monkeypatch)
    assert not joined.is_usable()
    until(joined.is_usable)
    assert not joined.has_warned()


@pytest.mark.slow
def test_one_that_does_not_answer_is_held_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STUDY_FILE).touch()
    joined = Joined(tmp_path, 0, monkeypatch)
    slow = ray.remote(num_cpus=0)(lambda: time.sleep(60))
    with monkeypatch.context() as patch:
        patch.setattr(joining_nodes, "PATIENCE_S", 0.5)
        patch.setattr(joining_nodes, "ask", lambda *_: slow.remote())
        until(joined.has_warned)
    assert "gets no work: no answer; " in joined.warnings()[0]
    until(joined.is_usable)
