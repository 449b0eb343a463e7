"""Studies that nobody ran, written by the writers of a real search."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml

EPOCHS, RUNGS = 9, (3,)
STUDY = """\
study: made-up
data: {kind: digits, train_per_class: 20, val_per_class: 30}
backbones: [alexnet, resnet18, densenet121]
trial:
  joint: {epochs: 9}
space:
  joint.margin: uniform(0.05, 0.9)
  joint.synthetic_ratio: uniform(0, 2)
  joint.gan_lr: {type: loguniform, min: 1e-6, max: 2e-4, or_zero: 0.1}
  joint.pairing: [assign, contrast]
search: {num_trials: 300, min_epochs: 3}
resources: {cpus: 2, gpus: 0}
"""
START = 1_790_000_000.0
NAME = "resnet18"


def study_of(backbones: tuple[str, ...], num_trials: int) -> Study:
    """Return the study of so many trials."""
    text = STUDY.replace("[alexnet, resnet18, densenet121]", f"[{', '.join(backbones)}]")
    text = text.replace("num_trials: 300", f"num_trials: {max(num_trials, len(backbones))}")
    return parse(Study, read_yaml_text(text, "made-up.yaml"))


def make_study(
    folder: Path,
    num_trials: int,
    backbones: tuple[str, ...] = ("resnet18",),
    *,
    are_failing: bool = False,
    status: str | None = "finished",
    agreement: float = 0.96,
) -> StudyDirectory:
    """Write a study; the trials of all backbones begin with one configuration in common.

    Args:
        folder: Where.
        num_trials: Of all backbones together.
        backbones: Their names.
        are_failing: Whether all trials fail.
        status: How its session ended; None while it runs, with its last trial half-way.
        agreement: Of the generator when its warm-up ends.
    """
    study = study_of(backbones, num_trials)
    directory = StudyDirectory(str(folder))
    directory.write_text("study.yaml", to_yaml(plain(study)))
    # Thousands of lines, of which none has to outlive a power cut.
    with patch("os.fsync"):
        events = [*_beginning(study, agreement)]
        events += _events(study, num_trials, are_failing, status, agreement)
        for count, event in enumerate(events):
            directory.append({"time": START + count, **event})
    return directory


def _beginning(study: Study, agreement: float) -> Iterator[dict[str, Any]]:
    command = "/usr/bin/distill-tune search --space made-up.yaml"
    session = {"command": command, "version": "0.1.0", "study": plain(study)}
    yield {"event": "session_started", **session}
    data = {"name": "digits", "digest": "0123456789abcdef", "classes": list("0123456789")}
    yield {"event": "data", **data, "num_train": 200, "num_val": 300, "skipped": []}
    stage = {"name": "warmup", "key": "k", "seconds": 20.0, "cost_s": 20.0, "cached": False}
    curve = curve_to(agreement)
    told = {"metrics": {}, "steps": curve[-1]["step"], "max_steps": 2000, "curve": curve}
    yield {"event": "stage", **stage, **told}


def curve_to(agreement: float) -> list[dict[str, Any]]:
    """Return the curve of a warm-up that ends with an agreement."""
    return [
        {"step": 50 * count, "agreement": agreement * count / 10, "diversity": 0.9 - count / 100}
        for count in range(1, 11)
    ]


def _events(
    study: Study, num_trials: int, are_failing: bool, status: str | None, agreement: float
) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    names = [backbone.name for backbone in study.backbones]
    for number in range(num_trials):
        last = status is None and number == num_trials - 1
        for event in _trial(number, names[number % len(names)], rng, are_failing, last):
            if event["event"] == "epoch":
                event["metrics"] |= _measured(event["epoch"], agreement)
            yield event
    if status is not None:
        yield {"event": "session_ended", "status": status}


def _measured(epoch: int, agreement: float) -> dict[str, float]:
    """Return what an epoch tells of the generator: the first one also how its warm-up ended."""
    ends = {"warmup/steps": 500.0, "warmup/synthetic/agreement": agreement}
    ends |= {"warmup/synthetic/pixel_diversity": 0.8}
    return {"synthetic/agreement": agreement - epoch / 1000} | (ends if epoch == 1 else {})


def _trial(
    number: int, backbone: str, rng: np.random.Generator, are_failing: bool, is_last: bool
) -> Iterator[dict[str, Any]]:
    margin, ratio = float(rng.uniform(0.05, 0.9)), float(rng.uniform(0, 2))
    gan_lr = 0.0 if rng.random() < 0.1 else float(np.exp(rng.uniform(*np.log([1e-6, 2e-4]))))
    pairing = str(rng.choice(["assign", "contrast"]))
    if number < 3:
        margin, ratio, gan_lr, pairing = 0.3, 0.5, 5e-5, "assign"
    params: dict[str, Any] = {
        "joint.margin": margin,
        "joint.synthetic_ratio": ratio,
        "joint.gan_lr": gan_lr,
    }
    params |= {"joint.pairing": pairing}
    yield {
        "event": "trial_started",
        "trial": number,
        "name": f"{backbone}-{number:04d}",
        "backbone": backbone,
        "params": params,
    }
    yield {"event": "stages_adopted", "trial": number, "keys": ["k"]}
    quality = (
        0.9 - 0.3 * (margin - 0.35) ** 2 - 0.02 * abs(ratio - 1) + 0.01 * rng.standard_normal()
    )
    is_failing = are_failing or (gan_lr > 1.2e-4 and rng.random() < 0.7)
    best = 0.0
    for epoch in range(1, EPOCHS + 1):
        if is_failing and epoch == 2:
            reason = {"reason": "diverged", "detail": "loss <b>nan</b> in epoch 2"}
            yield {"event": "trial_ended", "trial": number, "status": "failed", **reason}
            return
        value = quality - 0.2 * math.exp(-epoch / 2) + 0.004 * rng.standard_normal()
        best = max(best, value)
        metrics = {"objective": best, "val/accuracy": value, "seconds/joint": 2.0}
        metrics |= {"seconds/triplet": 5.0} if epoch == 1 else {}
        yield {"event": "epoch", "trial": number, "epoch": epoch, "metrics": metrics}
        if is_last and epoch == 2:
            return
        if epoch in RUNGS and best < 0.81 and number > 2:
            rung = {"reason": f"rung {epoch}", "detail": "too far below the others"}
            yield {"event": "trial_ended", "trial": number, "status": "pruned", **rung}
            return
    yield {"event": "trial_ended", "trial": number, "status": "complete", "reason": ""}


def begin(folder: Path, backbones: tuple[str, ...] = (NAME,)) -> StudyDirectory:
    """Write a study without trials."""
    study = study_of(backbones, 8)
    directory = StudyDirectory(str(folder / "study"))
    directory.write_text("study.yaml", to_yaml(plain(study)))
    session = {"command": "search", "time": 1000.0, "study": plain(study)}
    directory.append({"event": "session_started", **session})
    return directory


def add(
    directory: StudyDirectory, number: int, values: list[float], status: str | None, **fields: Any
) -> None:
    """Record a trial whose objective is the best of ``values`` so far; ``fields`` as wanted."""
    backbone = fields.pop("backbone", NAME)
    params = {"joint.margin": 0.1 + 0.05 * number, "joint.synthetic_ratio": 1.0}
    params |= {"joint.gan_lr": 1e-5, "joint.pairing": "assign"} | fields.pop("params", {})
    head = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
    directory.append({"event": "trial_started", **head, "params": params})
    for epoch, value in enumerate(values, start=1):
        metrics = {"objective": max(values[:epoch]), "val/accuracy": value, "seconds/joint": 36.0}
        directory.append({"event": "epoch", "trial": number, "epoch": epoch, "metrics": metrics})
    if status:
        end = {"trial": number, "status": status, "time": fields.pop("time", time.time())}
        directory.append({"event": "trial_ended", **end, **fields})
