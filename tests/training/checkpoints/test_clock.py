"""Checkpoints are made no more often than they may cost."""

import time

import pytest

from distill_tune.training.checkpoints.clock import CheckpointClock


class Clock:
    """A clock of our own."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    return found


def spent(clock: Clock, share: float, cost_s: float, num_bytes: int) -> tuple[list[int], float]:
    """Run 200 epochs of 2 s; return those that were saved, and the share that this took."""
    checkpoints, saved = CheckpointClock(share), []
    for epoch in range(1, 201):
        clock.now += 2
        if checkpoints.is_due(lambda: num_bytes):
            saved.append(epoch)
            checkpoints.begin()
            clock.now += cost_s
        checkpoints.end()
    return saved, len(saved) * cost_s / clock.now


@pytest.mark.parametrize(("cost_s", "first"), [(0.1, 1), (1.9, 19), (4.0, 19)])
def test_no_more_of_the_time_is_spent_than_the_share(
    clock: Clock, cost_s: float, first: int
) -> None:
    """The first is expected to take 1.9 s, as 380 MB do, whatever it takes then."""
    num_bytes = 380_000_000 if cost_s > 1 else 20_000_000
    saved, share = spent(clock, 0.05, cost_s, num_bytes)
    assert saved[0] == first
    assert 0.03 < share <= 0.05


def test_every_epoch_is_saved_where_the_share_is_one(clock: Clock) -> None:
    assert spent(clock, 1.0, 60.0, 10**12)[0] == list(range(1, 201))


def test_next_to_no_share_saves_none(clock: Clock) -> None:
    assert spent(clock, 1e-6, 0.1, 20_000_000)[0] == []


def test_a_clock_that_did_not_stand_has_no_cost(clock: Clock) -> None:
    checkpoints = CheckpointClock(0.5)
    checkpoints.end()
    checkpoints.begin()
    clock.now += 3
    checkpoints.end()
    assert not checkpoints.is_due(lambda: 0)
    clock.now += 6
    assert checkpoints.is_due(lambda: 0)
