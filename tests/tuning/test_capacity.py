"""How many trials run at a time while nodes come and go, and who gets a process that is free."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.experiment import Trial
from ray.tune.search import ConcurrencyLimiter, Searcher

from distill_tune.cluster import node_watch
from distill_tune.cluster.resources import Slots
from distill_tune.records.directory import StudyDirectory
from distill_tune.tuning.callbacks.capacity import CapacityCallback
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.scheduler import AshaPerBackbone


class Cluster:
    """Nodes of two cores each, a callback that looks at them, and seconds that pass for it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most: int | None = None
    ) -> None:
        self.num_nodes, self.now = 1, 1000.0
        monkeypatch.setattr(node_watch, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(ray, "nodes", self._nodes)
        self._limiter = ConcurrencyLimiter(Searcher(), max_concurrent=2)
        asked = Slots({"CPU": 1.0}, 2, frozenset("12345"), most)
        journal = Journal(StudyDirectory(str(tmp_path)), lambda *_: None)
        self._callback = CapacityCallback(asked, self._limiter, journal)

    def _nodes(self) -> list[dict[str, Any]]:
        two: dict[str, Any] = {"Alive": True, "Resources": {"CPU": 2.0}}
        alive = [two | {"NodeID": name} for name in "12345"[: self.num_nodes]]
        return [*alive, {"Alive": False, "Resources": {"CPU": 99.0}}]

    def look(self, after_s: float) -> int:
        """Return how many trials run at a time, as the callback and as the limiter has it."""
        self.now += after_s
        self._callback.on_step_begin(iteration=1, trials=[])
        assert self._callback.count == self._limiter.max_concurrent
        return self._callback.count


def test_room_follows_the_nodes_with_a_look_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path)
    cluster.num_nodes = 3
    assert [cluster.look(2.5), cluster.look(2.4), cluster.look(0.1)] == [2, 2, 6]
    cluster.num_nodes = 0
    assert cluster.look(5) == 1
    cluster.num_nodes = 2
    assert cluster.look(5) == 4


def test_never_more_than_the_user_wants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path, most=3)
    cluster.num_nodes = 5
    assert cluster.look(5) == 3
    cluster.num_nodes = 1
    assert cluster.look(5) == 2


def test_a_trial_that_failed_goes_first_and_new_ones_keep_the_process_that_starts() -> None:
    scheduler = AshaPerBackbone(min_epochs=1, max_epochs=9, reduction_factor=3)

    def chosen(*trials: tuple[int, str, int]) -> int | None:
        every = [
            SimpleNamespace(config={"number": number}, status=status, num_failures=failures)
            for number, status, failures in trials
        ]
        trial = scheduler.choose_trial_to_run(SimpleNamespace(get_live_trials=lambda: every))
        return None if trial is None else int(trial.config["number"])

    assert chosen((1, Trial.PENDING, 0), (2, Trial.PENDING, 0)) is None
    assert chosen((1, Trial.RUNNING, 1), (2, Trial.PENDING, 0)) is None
    assert chosen((7, Trial.PENDING, 2), (4, Trial.PENDING, 1), (2, Trial.PENDING, 0)) == 4
