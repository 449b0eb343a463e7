"""How many trials share a GPU, and what is said of it."""

from typing import Any

import pytest

from distill_tune.records.gpu_use import (
    RESOLUTION,
    USABLE_MEMORY,
    GpuUse,
    fitting,
    gpu_uses,
    packing_words,
    share,
    trials_per_gpu,
)

GIB = 2**30
SMALL = GpuUse(3 * GIB, 80 * GIB, 0.22)
LARGE = GpuUse(30 * GIB, 80 * GIB, 0.22)


def event(backbone: str = "resnet50", use: GpuUse = SMALL, **changes: Any) -> dict[str, Any]:
    return {"event": "packing", "backbone": backbone, "time": 1.0, **use._asdict(), **changes}


@pytest.mark.parametrize(
    ("memory", "total", "utilisation", "expected"),
    [
        (3, 80, 0.22, 5),  # a little more than the GPU's time, and much less than its memory
        (3, 80, 0.25, 4),
        (3, 80, 0.51, 2),
        (3, 80, 1.0, 1),
        (30, 80, 0.1, 2),
        (36, 80, 0.1, 2),  # nine tenths, exactly
        (37, 80, 0.1, 1),
        (90, 80, 0.1, 1),  # others were on the GPU
        (1, 80, 0.0, 16),
        (1, 80, 0.01, 16),
        (1, 80, None, 4),  # how busy it is cannot be seen
        (30, 80, None, 2),
        (0, 80, 0.5, 2),
    ],
)
def test_as_many_fit_as_memory_and_time_let(
    memory: int, total: int, utilisation: float | None, expected: int
) -> None:
    assert fitting(GpuUse(memory * GIB, total * GIB, utilisation)) == expected


@pytest.mark.parametrize("count", range(1, 17))
def test_of_its_share_so_many_fit_as_ray_counts_and_no_more_memory_than_there_is(
    count: int,
) -> None:
    parts = round(share(count) * RESOLUTION)
    assert RESOLUTION // parts == count
    assert count * share(count) * USABLE_MEMORY < 1


def test_nothing_is_known_until_a_trial_of_every_backbone_was_seen() -> None:
    assert trials_per_gpu({}, ["a"]) is None
    assert trials_per_gpu({"a": SMALL}, ["a", "b"]) is None
    assert trials_per_gpu({"a": SMALL, "b": LARGE}, ["a", "b"]) == 2
    assert trials_per_gpu({"a": SMALL, "b": LARGE}, ["a"]) == 5


def test_the_newest_event_of_a_backbone_counts() -> None:
    events = [event(), event("alexnet", LARGE), {"event": "epoch"}, event(use=LARGE)]
    assert gpu_uses(events) == {"resnet50": LARGE, "alexnet": LARGE}


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_bytes": "much"},
        {"memory_bytes": 0},
        {"total_bytes": None},
        {"total_bytes": float("inf")},
        {"total_bytes": 10**400},
        {"utilisation": float("nan")},
        {"utilisation": 22},
        {"utilisation": []},
    ],
)
def test_an_event_that_makes_no_sense_is_passed_over(changes: dict[str, Any]) -> None:
    assert gpu_uses([event(), event(**changes)]) == {"resnet50": SMALL}
    missing = event()
    del missing[next(iter(changes))]
    assert gpu_uses([missing]) == {}


BUSY = " and 22 % of the time of its GPU"
UNSEEN = " of its GPU (how busy that is cannot be seen)"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (SMALL, f"3.0 GiB of 80.0 GiB{BUSY}: 5 fit (resources.gpus: 0.2)"),
        (
            GpuUse(20 * GIB, 80 * GIB, None),
            f"20.0 GiB of 80.0 GiB{UNSEEN}: 3 fit (resources.gpus: 0.3333)",
        ),
        (GpuUse(70 * GIB, 80 * GIB, 0.22), f"70.0 GiB of 80.0 GiB{BUSY}: 1 fits"),
    ],
)
def test_what_is_said_names_the_setting(use: GpuUse, words: str) -> None:
    assert packing_words("a", use) == f"a: one trial takes {words}"
