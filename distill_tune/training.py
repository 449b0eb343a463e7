"""One configuration trained to the end, and the model as plain files to take home."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from distill_tune import __version__
from distill_tune.backbones import Backbone, Classifier
from distill_tune.config import Document, locate_error, parse, read_yaml, to_yaml
from distill_tune.distill.probe import probe
from distill_tune.distill.state import StateDict
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ImageData, plain

WEIGHTS, MODEL, CONFIG = "classifier.safetensors", "model.json", "config.yaml"
GENERATOR = "generator.safetensors"


def train_model(
    config_file: Path, out: Path, assignments: list[str], *, say: Callable[[str], object]
) -> dict[str, Any]:
    """Run all stages of a configuration and write the model into a new folder.

    Args:
        config_file: A trial's whole configuration, such as ``best/resnet50.yaml``.
        out: The folder; made, and refused if it holds anything.
        assignments: ``path=value`` changes of the configuration.
        say: Takes a line per report.

    Returns:
        ``validation_accuracy`` and the paths of what was written.

    Raises:
        InputError: A configuration that is not usable, or a folder that is not empty.
        DivergedError: The training cannot go on.
    """
    document = read_yaml(config_file)
    _refuse_study(config_file, document)
    for assignment in assignments:
        document.set(assignment)
    config = parse(TrialConfig, document)
    _refuse_full(out)
    images = _load_images(config, document)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trial = Trial(config, images, device)
    accuracy = 0.0
    for report in trial.run():
        say(_line(report))
        accuracy = report.metrics.get("val/final_accuracy", accuracy)
    return save_model(trial, images, out, accuracy)


def _load_images(config: TrialConfig, document: Document) -> ImageData:
    try:
        images = config.data.load()
        probe(config, images)
    except InputError as error:
        where = "backbone" if error.where == "backbones" else error.where
        named = InputError(where, got=error.got, expected=error.expected, choices=error.choices)
        raise locate_error(named, document) from error
    return images


def save_model(trial: Trial, images: ImageData, out: Path, accuracy: float) -> dict[str, Any]:
    """Write weights, class names, input transform and configuration of a trained trial."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in model_files(trial, images, accuracy).items():
        (out / name).write_bytes(content)
    names = {"weights": WEIGHTS, "generator": GENERATOR, "model": MODEL, "config": CONFIG}
    return {
        "validation_accuracy": accuracy,
        "paths": {what: str((out / name).absolute()) for what, name in names.items()},
    }


def model_files(trial: Trial, images: ImageData, accuracy: float) -> dict[str, bytes]:
    """Return the files of a model folder by name; of a trial under way, with its best weights.

    The file that describes the others comes last: where it is, they are.
    """
    state = trial.state
    weights = state.classifier.state_dict() if state.stage == "done" else state.best.weights
    description = {
        "distill_tune": __version__,
        "backbone": plain(trial.config.backbone),
        "classes": list(images.classes),
        "transforms": {
            "channels": images.channels,
            "image_size": images.image_size,
            "resize": "shorter side to image_size, antialiased, then the centre cut out",
            "range": "pixels / 127.5 - 1; the network itself resizes and normalises further",
        },
        "validation_accuracy": accuracy,
        "data": {"name": images.name, "digest": images.digest},
    }
    return {
        WEIGHTS: save(_plain_weights(weights)),
        GENERATOR: save(_plain_weights(state.gan.ema.module.state_dict())),
        CONFIG: to_yaml(plain(trial.config)).encode(),
        MODEL: (json.dumps(description, indent=2) + "\n").encode(),
    }


def load_classifier(folder: Path) -> tuple[Classifier, tuple[str, ...]]:
    """Return the classifier of a model folder, in eval mode, and its class names.

    It takes images ``[n, channels, image_size, image_size]``, float32 in [-1, 1], and returns
    logits ``[n, num_classes]``.

    Args:
        folder: As ``distill-tune train --out`` wrote it.
    """
    description = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    transforms = description["transforms"]
    backbone = Backbone.model_validate({**description["backbone"], "pretrained": False})
    classifier = backbone.build(
        num_classes=len(description["classes"]),
        channels=transforms["channels"],
        image_size=transforms["image_size"],
    )
    classifier.load_state_dict(load_file(folder / WEIGHTS))
    return classifier.eval(), tuple(description["classes"])


def _plain_weights(weights: StateDict) -> dict[str, torch.Tensor]:
    return {name: value.cpu().contiguous() for name, value in weights.items()}


def _refuse_study(config_file: Path, document: Document) -> None:
    if "backbones" in document.value or "space" in document.value:
        raise InputError(
            "--config",
            got=Text(f"{config_file}, which describes a whole study"),
            expected="the configuration of one trial, such as best/<backbone>.yaml in the "
            "directory of a finished study",
        )


def _refuse_full(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "--out", got=Text(f"{out}, which is there already"), expected="a new or empty folder"
        )


def _line(report: Report) -> str:
    accuracy = report.metrics.get("val/accuracy")
    shown = "" if accuracy is None else f"  val/accuracy {accuracy:.4f}"
    return f"{report.stage}: {report.step}/{report.num_steps}{shown}"
