"""Trials of a fraction of a second: a small network, a small GAN, real digits."""

import io
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from distill_tune.distill.backbones import Backbone, Classifier
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, Stage

CPU = torch.device("cpu")
TINY = "resnet50"
"""The name that stands for the small network while the fixture ``_tiny_backbone`` is active."""

SMALL_GAN = {
    "latent_dim": 8,
    "warmup_steps": 4,
    "judge_steps": 8,
    "triplet_steps": 3,
    "batch_size": 20,
    "generator_width": 8,
    "generator_min_width": 4,
    "discriminator_width": 8,
    "lecam_start": 2,
    "class_ramp_steps": 2,
}
SMALL = {
    "data": {"kind": "digits"},
    "backbone": {"name": TINY},
    "classifier": {"epochs": 3, "batch_size": 80, "lr": 3e-2},
    "gan": SMALL_GAN,
    "joint": {
        "epochs": 2,
        "refresh": 1,
        "ramp_epochs": 2,
        "monitor_images": 40,
        "gan_lr": 2e-4,
        "synthetic_ratio": 0.6,
        "classifier_lr_factor": 0.3,
        # No generator of these follows its classes.
        "unfit_policy": "warn",
    },
}
_original_build = Backbone.build


def build(self: Backbone, *, num_classes: int, channels: int, image_size: int) -> Classifier:
    """Stand in for ``Backbone.build``: convolution, batch norm and dropout in 2,000 weights."""
    if self.name != TINY:
        return _original_build(
            self, num_classes=num_classes, channels=channels, image_size=image_size
        )
    body = nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
    )
    classifier = Classifier(
        body,
        feature_dim=48,
        num_classes=num_classes,
        resize=(image_size, image_size),
        normalisation=((0.5,) * channels, (0.5,) * channels),
    )
    return classifier.to(memory_format=torch.channels_last)


def config(**changes: Any) -> TrialConfig:
    """Return the small configuration; a dict changes fields of a part, other values replace it."""
    values: dict[str, Any] = dict(SMALL)
    for name, change in changes.items():
        part = values.get(name)
        values[name] = part | change if isinstance(part, dict) else change
    return TrialConfig.model_validate(values)


def trial(images: ImageData, **changes: Any) -> Trial:
    """Return a fresh trial on the CPU."""
    return Trial(config(**changes), images, CPU)


def reports_of(running: Iterator[Report], stage: Stage) -> Iterator[Report]:
    """Yield the reports of a stage and leave the rest unread."""
    for report in running:
        if report.stage == stage:
            yield report
            if report.step == report.num_steps:
                return


def run_until(running: Trial, stage: Stage) -> Trial:
    """Run a trial until it has finished a stage, and return it."""
    for _ in reports_of(running.run(), stage):
        pass
    return running


def networks(running: Trial) -> StateDict:
    """Return the GAN's state but for the measurements of it."""
    return running.state.gan.state_dict() | {"fidelity": []}


def packed(saved: StateDict) -> bytes:
    """Return a state as a checkpoint's bytes."""
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    return buffer.getvalue()


def unpacked(content: bytes) -> StateDict:
    """Read a checkpoint that may hold tensors and plain data only."""
    saved: StateDict = torch.load(io.BytesIO(content), weights_only=True)
    return saved


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the places where two nested states differ in a bit."""
    if isinstance(one, torch.Tensor):
        return [] if isinstance(other, torch.Tensor) and _is_same(one, other) else [path]
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{path}: keys"]
        return [d for key in one for d in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple) and len(one) == len(other):
        return [d for n in range(len(one)) for d in differences(one[n], other[n], f"{path}/{n}")]
    return [] if one == other else [path]


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
