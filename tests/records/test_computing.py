"""Hours that a search has computed: everything that it ran, and nothing that it found ready."""

from typing import Any

import pytest

from distill_tune.records.extras.computing import computing_s, hours, trial_device
from distill_tune.records.gpu_use import GpuUse
from distill_tune.records.replay import fold
from distill_tune.records.trials import Event


def stage(name: str, seconds: float, *, cached: bool = False) -> Event:
    cost = {"seconds": seconds, "cost_s": 99.0, "cached": cached}
    return {"event": "stage", "name": name, "key": name, **cost}


def trial(number: int, backbone: str, seconds: float) -> list[Event]:
    metrics = {"objective": 0.5, "seconds/joint": seconds}
    name = f"{backbone}-{number:04d}"
    return [
        {"event": "trial_started", "trial": number, "name": name, "backbone": backbone},
        {"event": "epoch", "trial": number, "epoch": 1, "metrics": metrics},
    ]


def extra(kind: str, backbone: str, seed: int, seconds: float) -> list[Event]:
    name, of = f"{kind}-{backbone}-{seed}", None if kind == "control" else 0
    about = {"kind": kind, "arm": "equal_steps", "words": "", "seed": seed, "trial": of}
    metrics = {"objective": 0.5, "seconds/joint": seconds}
    return [
        {"event": "extra_started", "name": name, "backbone": backbone, **about},
        {"event": "extra_epoch", "name": name, "epoch": 1, "metrics": metrics},
    ]


LOG = [
    stage("warmup", 1.0),
    stage("classifier/a", 2.0),
    stage("classifier/b lr=0.1", 4.0),
    stage("classifier/b lr=0.2", 4.0, cached=True),
    stage("warmup seed=10001", 8.0),
    stage("classifier/a seed=10001", 16.0),
    # Of a confirmation.
    stage("warmup seed=1001", 1000.0),
    *trial(0, "a", 32.0),
    *trial(1, "b", 64.0),
    *extra("control", "a", 0, 128.0),
    *extra("finalist", "a", 10_001, 256.0),
]


def test_trials_stages_controls_and_finalists_are_told_apart() -> None:
    state = fold({"time": 0.0, "params": {}, **event} for event in LOG)
    assert computing_s(state) == (96.0, 31.0, 128.0, 256.0)
    assert computing_s(state, "a") == (32.0, 27.0, 128.0, 256.0)
    # Both backbones have the warm-ups.
    assert computing_s(state, "b") == (64.0, 13.0, 0.0, 0.0)
    found = hours(computing_s(state), ("CPU", 2.0))
    assert found.total == pytest.approx(511 / 1800)
    assert found.words == "0.284 core-hours (controls 0.071, finalists 0.14)"
    assert hours(computing_s(state, "b"), ("GPU", 0.5)).words == "0.0107 GPU-hours"


@pytest.mark.parametrize("resources", [None, {}, {"cpus": "<b>", "gpus": True}, {"cpus": -1}])
def test_without_sound_resources_a_trial_takes_a_core(resources: Any) -> None:
    assert trial_device(resources, {}) == ("CPU", 1.0)
    assert trial_device(resources, {"a": GpuUse(1, 2, None)}) == ("CPU", 1.0)
