"""A training of seconds: a small network and a small GAN on digits of 8x8 pixels."""

from pathlib import Path
from typing import Any

from distill_tune.distill.trial import Report
from distill_tune.training.recipe import Recipe, read_recipe
from distill_tune.training.train import train_model
from tests.commands import TRIAL

CONFIG = f"""\
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbone: squeezenet1_1
{TRIAL.removeprefix("trial:").replace(chr(10) + "  ", chr(10)).lstrip()}"""
SHORT = ["classifier.epochs=1", "joint.epochs=2", "gan.warmup_steps=3"]
FILES = {"classifier.safetensors", "generator.safetensors", "config.yaml", "model.yaml"}


def write_config(folder: Path) -> Path:
    """Write the configuration; return its file."""
    file = folder / "best.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


def recipe(folder: Path, *changes: str) -> Recipe:
    """Return the configuration, short and with changes, as a recipe."""
    return read_recipe(write_config(folder)).changed([*SHORT, *changes])


class Trained:
    """A training: what it returned, and what it said and reported meanwhile."""

    def __init__(self, made: Recipe, out: Path) -> None:
        self.folder = out
        self.lines: list[str] = []
        self.reports: list[Report] = []
        self.result: dict[str, Any] = train_model(
            made, out, say=self.lines.append, listen=self.reports.append
        )
