"""The noise of a seed, pooled over runs that differ in nothing else."""

import math
from typing import Any

import pytest

from distill_tune.records.extras.noise import seed_noise
from distill_tune.records.replay import fold
from distill_tune.records.trials import Event, StudyState


def trial(value: float) -> list[Event]:
    return [
        {"event": "trial_started", "trial": 0, "name": "alexnet-0000", "backbone": "alexnet"},
        {"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"objective": value}},
    ]


def run(kind: str, seed: int, value: float, **more: Any) -> list[Event]:
    name = f"{kind}-{seed}"
    about = {"name": name, "kind": kind, "arm": kind, "words": "", "trial": None, **more}
    status = {"status": "complete", "reason": ""} | more
    return [
        {"event": "extra_started", "backbone": "alexnet", "seed": seed, **about},
        {"event": "extra_epoch", "name": name, "epoch": 1, "metrics": {"objective": value}},
        {"event": "extra_ended", "name": name, **status},
    ]


def state(*events: Event) -> StudyState:
    return fold({"time": 1.0, "params": {}, **event} for event in events)


CONTROLS = [*run("control", 0, 0.50), *run("control", 1, 0.52), *run("control", 2, 0.54)]


def test_it_is_the_deviation_of_a_control_on_its_seeds() -> None:
    noise = seed_noise(state(*CONTROLS), "alexnet")
    assert noise is not None
    assert noise.deviation == pytest.approx(0.02)
    assert noise.freedom == 2
    assert seed_noise(state(*CONTROLS), "resnet18") is None


def test_finalists_are_pooled_with_their_value_in_the_search() -> None:
    finalist = run("finalist", 1, 0.80, trial=0)
    noise = seed_noise(state(*trial(0.86), *CONTROLS, *finalist), "alexnet")
    assert noise is not None
    # Sums of squares about each mean: 8e-4 of the control, 18e-4 of the finalist.
    assert noise.deviation == pytest.approx(math.sqrt((8e-4 + 18e-4) / 3))
    assert noise.freedom == 3


@pytest.mark.parametrize(
    "events",
    [CONTROLS[:3], CONTROLS[:6], [*CONTROLS[:6], *run("control", 2, 0.5, status="failed")]],
)
def test_nothing_is_said_of_too_few_runs(events: list[Event]) -> None:
    assert seed_noise(state(*events), "alexnet") is None
