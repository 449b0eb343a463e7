"""Inputs of a step: a device, a folder, a list of facts, and small trials."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from distill_tune.datasets.digits import Digits
from distill_tune.distill.backbones import Backbone
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData, Split
from tests.distill import tiny

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Place:
    """Device of a step, and the places for what it finds.

    Attributes:
        device: The GPU, or the CPU.
        folder: An empty folder.
        facts: A file of JSON lines; what is noted stays, even if the step is stopped.
    """

    device: torch.device
    folder: Path
    facts: Path

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    def note(self, **found: Any) -> None:
        """Keep facts for the report."""
        with self.facts.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(found)}\n")

    def wait(self) -> None:
        """Wait until the device has done its work."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)


@contextmanager
def small_networks() -> Iterator[None]:
    """Let a network of 2,000 weights stand for ResNet-50."""
    with patch.object(Backbone, "build", tiny.build):
        yield


def digits() -> ImageData:
    """Return 200 training images of 8x8 pixels."""
    return Digits(kind="digits", train_per_class=20, val_per_class=10).load()


def noise(count: int = 1000, side: int = 32) -> ImageData:
    """Return images of the size of CIFAR-10's that need no file; a tenth is for validation."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=draw)
    labels = torch.arange(count) % 10
    classes = tuple(map(str, range(10)))
    val = Split(images[: count // 10], labels[: count // 10])
    return ImageData("noise", classes, Split(images, labels), val, True, (), "0" * 16)


def small_trial(place: Place, **changes: Any) -> Trial:
    """Return a fresh trial of digits; inside :func:`small_networks`."""
    return Trial(tiny.config(**changes), digits(), place.device)


def trial_at_joint(place: Place, saved: bytes, **changes: Any) -> Trial:
    """Return a small trial that enters stage 3 from a state that was packed there."""
    begun = small_trial(place, **changes)
    begun.load_state_dict(torch.load(io.BytesIO(saved), map_location=place.device))
    return begun


def on_host(content: bytes) -> StateDict:
    """Return a packed state in main memory."""
    saved: StateDict = torch.load(io.BytesIO(content), map_location=CPU, weights_only=True)
    return saved
