"""The benchmark of many slots: what it calls busy."""

from typing import Any

import pytest

from tests.benchmarks.slots import busy_share
from tests.benchmarks.stand_in import epoch_seconds, start_seconds


def trial(number: int, start: float, idle: float, epochs: int = 1) -> list[dict[str, Any]]:
    """Return the events of a trial that sleeps as recorded, and is idle for some seconds more."""
    end = start + start_seconds(number) + epochs * epoch_seconds(number) + idle
    return [
        {"event": "trial_started", "trial": number, "time": start},
        *({"event": "epoch", "trial": number, "time": end} for _ in range(epochs)),
        {"event": "trial_ended", "trial": number, "time": end},
    ]


def test_slots_are_busy_while_their_trials_sleep() -> None:
    ends = [start_seconds(n) + epoch_seconds(n) for n in range(2)]
    calm = [*trial(0, 0, 0), *trial(1, 0, 0)]
    last = trial(2, max(ends), 0)
    assert busy_share([*calm, *last], 2) == pytest.approx(sum(ends) / (2 * max(ends)))
    late = [*trial(0, 0, 5), *trial(1, 0, 5), *trial(2, max(ends) + 5, 0)]
    assert busy_share(late, 2) == pytest.approx(sum(ends) / (2 * (max(ends) + 5)), rel=0.05)


def test_what_comes_before_the_slots_are_full_and_after_the_last_start_does_not_count() -> None:
    seconds = start_seconds(0) + 3 * epoch_seconds(0)
    events = [*trial(0, 0, 0, epochs=3), *trial(1, seconds / 2, 0, epochs=9)]
    events += trial(2, seconds, 100)
    assert busy_share(events, 2) == pytest.approx(1.0)
