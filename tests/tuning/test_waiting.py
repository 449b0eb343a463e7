"""Trials that wait for long: said once, with what they wait for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.search import ConcurrencyLimiter, Searcher

from distill_tune.cluster.resources import Slots
from distill_tune.records.directory import StudyDirectory
from distill_tune.tuning.callbacks import waiting
from distill_tune.tuning.callbacks.capacity import CapacityCallback
from distill_tune.tuning.callbacks.waiting import WaitingCallback
from distill_tune.tuning.journal import Journal
from tests.commands import of_kind, read_events

TEXT = (
    "for 120 s only 1 of 3 trials run at a time: 2 wait for 2 CPU, 1 GPU of type H100 each; the "
    "cluster has 5 CPU, 0 GPU of type H100 free, on all its nodes together"
)


class Clock:
    """A callback, and the seconds that pass for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.now = folder, 1000.0
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: self.now))
        free = {"CPU": 5.0, "accelerator_type:H100": 1.0, "memory": 1e9}
        monkeypatch.setattr(ray, "available_resources", lambda: free)
        bundle = {"CPU": 2, "GPU": 1.0, "accelerator_type:H100": 0.001}
        journal = Journal(StudyDirectory(str(folder)), lambda *_: None)
        limiter = ConcurrencyLimiter(Searcher(), max_concurrent=3)
        capacity = CapacityCallback(Slots(bundle, 3), limiter, journal)
        self._callback = WaitingCallback(journal, capacity)

    def look(self, after_s: float, running: int, pending: int) -> list[str]:
        """Return all warnings so far, after a look at so many trials."""
        self.now += after_s
        states = ["RUNNING"] * running + ["PENDING"] * pending + ["TERMINATED"]
        trials: Any = [SimpleNamespace(status=status) for status in states]
        self._callback.on_step_end(1, trials)
        return [event["text"] for event in of_kind(read_events(self.folder), "warning")]


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(tmp_path, monkeypatch)


def test_it_is_said_once_after_two_minutes_and_again_when_it_comes_back(clock: Clock) -> None:
    assert clock.look(0, 1, 2) == []
    assert clock.look(119, 1, 2) == []
    assert clock.look(1, 1, 2) == [TEXT]
    assert clock.look(1000, 1, 2) == [TEXT]
    assert clock.look(1, 3, 1) == [TEXT]
    assert clock.look(1, 1, 2) == [TEXT]
    assert clock.look(120, 1, 2) == [TEXT, TEXT]


def test_full_slots_and_the_last_trials_are_not_waited_for(clock: Clock) -> None:
    for running, pending in ((3, 5), (1, 0), (0, 0)):
        assert clock.look(500, running, pending) == []
        assert clock.look(500, running, pending) == []
