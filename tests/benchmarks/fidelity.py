"""Steps and seconds of one core until the generator follows its classes, before and now.

``before`` is the GAN as it was at first, by the fields that remain: residual blocks, a class that
starts at zero and is ramped in, no wrong labels, no mode-seeking. Everything else is alike.

Blood cells are left out unless ``DISTILL_TUNE_BLOODCELLS`` names their folder (``train/<class>``).
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from distill_tune.distill.monitoring.fidelity import (
    CHECK_STEPS,
    Fidelity,
    FidelityTest,
    train_judge,
)
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.records.trials import FIT_AGREEMENT
from tests.benchmarks.results import Result

SEEDS = (0, 1, 2)
BLOODCELLS = "DISTILL_TUNE_BLOODCELLS"
CPU = torch.device("cpu")

GAN = {
    "generator_width": 64,
    "discriminator_width": 32,
    "batch_size": 32,
    "lr": 1e-3,
    "lecam_start": 200,
    "cutout": 0.0,
}
"""What both sides share, as in search_spaces/evidence."""
BEFORE = {
    "blocks": "residual",
    "class_start": 0.0,
    "mismatch": 0.0,
    "mode_seeking": 0.0,
}


class Task(NamedTuple):
    """Images, fields of the GAN that suit them, the old ramp, and the most steps of a run."""

    data: dict[str, Any]
    gan: dict[str, Any]
    ramp: int
    limit: int


TASKS = {
    "digits": Task(
        {"kind": "digits", "train_per_class": 10, "val_per_class": 40, "test_fraction": 0.5},
        {"shift": 0.125},
        80,
        1500,
    ),
    "mnist": Task(
        {
            "kind": "mnist5k",
            "image_size": 14,
            "train_per_class": 10,
            "val_per_class": 40,
            "test_fraction": 0.4,
        },
        {"shift": 0.15},
        200,
        2500,
    ),
    "bloodcells": Task(
        {"kind": "folder", "image_size": 16, "train_per_class": 40},
        {"shift": 0.125, "color": False},
        200,
        2000,
    ),
}


class Reached(NamedTuple):
    """Where agreement was reached, or where the run ended without it.

    Attributes:
        fidelity: There.
        seconds: Of the process until there, the judge's questions left out.
        is_fit: Whether it was reached, and kept at the next check.
    """

    fidelity: Fidelity
    seconds: float
    is_fit: bool


def run(runs: int, scratch: Path) -> list[Result]:  # noqa: ARG001 - three seeds, writes nothing
    """Measure on one thread of the CPU, before and now in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [result for name in TASKS for result in _compare(name)]
    finally:
        torch.set_num_threads(threads)


def _compare(name: str) -> list[Result]:
    task = TASKS[name]
    data = dict(task.data)
    if name == "bloodcells":
        if BLOODCELLS not in os.environ:
            print(f"{name}: left out, {BLOODCELLS} is not set")  # noqa: T201 - the report
            return []
        data["root"] = os.environ[BLOODCELLS]
    before, after = [], []
    for seed in SEEDS:
        images = {**data, "seed": seed}
        old = task.gan | BEFORE | {"class_ramp_steps": task.ramp}
        before.append(until_fit(images, old, seed, task.limit))
        after.append(until_fit(images, task.gan, seed, task.limit))
    return [_seconds(name, before, after), _diversity(name, before, after)]


def until_fit(data: dict[str, Any], gan: dict[str, Any], seed: int, limit: int) -> Reached:
    """Train one GAN until two checks in a row find it fit.

    Args:
        data: Fields of a data set.
        gan: Fields of the GAN beside ``GAN``.
        seed: Of the trial.
        limit: The most generator steps.
    """
    fields = {"data": data, "backbone": {"name": "resnet18"}, "gan": GAN | gan, "seed": seed}
    config = TrialConfig.model_validate(fields)
    trial = Trial(config, config.data.load(), CPU)
    trainer, state = trial.trainer, trial.state.gan
    train_judge(state.judge, trial.data, seed, config.gan.judge_steps)
    test = FidelityTest.of(state.judge, trial.data)
    latent = trainer.latent("monitor", len(test.labels), 3)._replace(labels=test.labels)
    seconds, first = 0.0, None
    while True:
        started = time.process_time()
        for _ in range(CHECK_STEPS):
            trainer.step(lr=config.gan.lr, triplet_weight=0.0)
        seconds += time.process_time() - started
        now = Reached(test.of_images(trainer.synthesise(latent), state.step), seconds, is_fit=False)
        if now.fidelity.agreement < FIT_AGREEMENT:
            first = None
        elif first is None:
            first = now
        else:
            return first._replace(is_fit=True)
        if state.step >= limit:
            return now


def _seconds(name: str, before: Sequence[Reached], after: Sequence[Reached]) -> Result:
    pairs = list(zip(before, after, strict=True))
    return Result(
        f"fidelity/{name}",
        f"{name}: seconds of one core until agreement {FIT_AGREEMENT:g}, now / before",
        [_ratio(old, new) for old, new in pairs],
        0.5,
        "at most",
        _numbers("before", before) | _numbers("now", after),
        notes=[f"Seeds {', '.join(map(str, SEEDS))}, images redrawn with each. {_limit(name)}"],
        data={name: {"before": _data(before), "now": _data(after)}},
    )


def _ratio(old: Reached, new: Reached) -> float:
    """Return the ratio of the seconds; of a run that never got there, at least 1."""
    ratio = new.seconds / old.seconds
    return ratio if new.is_fit else max(1.0, ratio)


def _data(runs: Sequence[Reached]) -> dict[str, list[float]]:
    """Return what ``--json`` prints of one side, a value for each seed."""
    return {
        "steps": [one.fidelity.step for one in runs],
        "seconds": [one.seconds for one in runs],
        "agreement": [one.fidelity.agreement for one in runs],
        "diversity": [one.fidelity.diversity for one in runs],
        "is_fit": [one.is_fit for one in runs],
    }


def _diversity(name: str, before: Sequence[Reached], after: Sequence[Reached]) -> Result:
    pairs = list(zip(before, after, strict=True))
    return Result(
        f"fidelity/{name}/diversity",
        f"{name}: diversity within a class at that point, now / before",
        [new.fidelity.diversity / old.fidelity.diversity for old, new in pairs],
        1.0,
        "at least",
    )


def _limit(name: str) -> str:
    return (
        f"A run that has not got there after {TASKS[name].limit} steps is marked with > and "
        "counts with what it had by then."
    )


def _numbers(side: str, runs: Sequence[Reached]) -> dict[str, str]:
    columns: dict[str, Callable[[Reached], str]] = {
        "steps": lambda one: f"{'' if one.is_fit else '> '}{one.fidelity.step}",
        "seconds": lambda one: f"{'' if one.is_fit else '> '}{one.seconds:.1f}",
        "agreement": lambda one: f"{one.fidelity.agreement:.3f}",
        "diversity": lambda one: f"{one.fidelity.diversity:.3f}",
    }
    return {f"{column}, {side}": ", ".join(map(write, runs)) for column, write in columns.items()}
