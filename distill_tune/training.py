"""One configuration trained to the end, and the model as plain files to take home."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from distill_tune import __version__
from distill_tune.backbones import Backbone, Classifier
from distill_tune.config import Document, locate_error, parse, read_json, read_yaml, to_yaml
from distill_tune.distill.probe import probe
from distill_tune.distill.state import StateDict
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import Config, ImageData, plain

WEIGHTS, MODEL, CONFIG = "classifier.safetensors", "model.json", "config.yaml"
GENERATOR = "generator.safetensors"


class _Transforms(Config):
    """What an image has to be."""

    model_config = ConfigDict(extra="ignore")

    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    image_size: int = Field(ge=1, le=1024)
    """Height and width in pixels."""


class _Model(Config):
    """What ``model.json`` says, as far as loading needs it: it may be a stranger's."""

    model_config = ConfigDict(extra="ignore")

    backbone: Backbone
    """The network."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the classes, in the order of the logits."""
    transforms: _Transforms
    """What an image has to be."""


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
    for remark in _remarks(images):
        say(remark)
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


def _remarks(images: ImageData) -> Iterator[str]:
    if images.skipped:
        yield f"{len(images.skipped)} unreadable files left out, such as {images.skipped[0]}"
    yield from (f"warning: {text}" for text in images.warnings)


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

    Nothing in the folder is run, and nothing is downloaded, whoever wrote it.

    Args:
        folder: As ``distill-tune train --out`` wrote it.

    Raises:
        InputError: A file is missing, damaged or another's; the message names it.
    """
    document = read_json(folder / MODEL)
    model = parse(_Model, document)
    try:
        classifier = model.backbone.build(
            num_classes=len(model.classes),
            channels=model.transforms.channels,
            image_size=model.transforms.image_size,
            is_fetching=False,
        )
    except InputError as error:
        named = InputError("backbone", got=error.got, expected=error.expected)
        raise locate_error(named, document) from error
    _load_weights(classifier, folder / WEIGHTS)
    return classifier.eval(), model.classes


def _load_weights(classifier: Classifier, file: Path) -> None:
    try:
        classifier.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            str(file),
            got=Text(f"no weights of this classifier ({reason[:200]})"),
            expected="a safetensors file as distill-tune train writes it beside its model.json",
        ) from error


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
    """Refuse now what could not be written after hours of training."""
    try:
        is_full = out.exists() and (not out.is_dir() or any(out.iterdir()))
        above = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    except OSError as error:
        met = Text(f"{out} ({error.strerror})")
        raise InputError("--out", got=met, expected="a new or empty folder") from None
    if is_full:
        raise InputError(
            "--out", got=Text(f"{out}, which is there already"), expected="a new or empty folder"
        )
    if not above.is_dir() or not os.access(above, os.W_OK):
        met = Text(f"{out} below {above}")
        raise InputError("--out", got=met, expected="a place where a folder can be made")


def _line(report: Report) -> str:
    accuracy = report.metrics.get("val/accuracy")
    shown = "" if accuracy is None else f"  val/accuracy {accuracy:.4f}"
    return f"{report.stage}: {report.step}/{report.num_steps}{shown}"
