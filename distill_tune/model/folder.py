"""Model folders: plain files, written after training and read without trusting them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from distill_tune import __version__
from distill_tune.distill.backbones import Classifier
from distill_tune.distill.backbones.pointwise_layers import whole_weights
from distill_tune.distill.backbones.weights_file import MODEL_WEIGHTS
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.monitoring.by_class import class_results
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.interfaces import ImageData, Metrics, plain
from distill_tune.model.description import ClassNumbers, Description, Transforms
from distill_tune.plugins import digests
from distill_tune.records.files.storage import storage_at
from distill_tune.records.words.metric_names import ACCURACY
from distill_tune.study.validation import locate_error, parse, read_yaml, to_yaml

WEIGHTS, MODEL, CONFIG = MODEL_WEIGHTS, "model.yaml", "config.yaml"
GENERATOR = "generator.safetensors"
FILES = {"weights": WEIGHTS, "generator": GENERATOR, "config": CONFIG, "model": MODEL}
"""Roles of the files in a model folder, and their names."""
CPU = torch.device("cpu")


class Model(NamedTuple):
    """A classifier that is ready for use, and its input format.

    Attributes:
        folder: Folder it was read from.
        classifier: In eval mode; takes images ``[n, channels, image_size, image_size]``, float32
            in [-1, 1], and returns logits ``[n, num_classes]``.
        classes: Class names, in the order of the logits.
        transforms: Input format of the model.
        digest: Digest of the images it was made from; empty if unknown.
        metric: Metric by which its weights were kept, as in ``search.metric``.
        by_class: Results of each class by its name; empty for an older model.
    """

    folder: Path
    classifier: Classifier
    classes: tuple[str, ...]
    transforms: Transforms
    digest: str
    metric: str = ACCURACY
    by_class: Mapping[str, ClassNumbers] = MappingProxyType({})


def model_files(
    trial: Trial,
    images: ImageData,
    origin: Mapping[str, Any],
    metrics: Metrics | None = None,
) -> dict[str, bytes]:
    """Return the files of a model folder by name; a running trial gives its best weights.

    The file that describes the others comes last, so that its presence implies theirs.

    Args:
        trial: Trial in stage 3, or done.
        images: Images it was trained on.
        origin: Origin of the configuration as plain data: ``study``, ``trial``, ``params``.
        metrics: Metrics of the written weights; None: that by which they were kept.
    """
    state = trial.state
    weights = state.classifier.state_dict() if state.stage == "done" else state.best.weights
    description = {
        "distill_tune": __version__,
        **({"plugins": sorted(digests())} if digests() else {}),
        "backbone": plain(trial.config.backbone),
        "classes": list(images.classes),
        "transforms": {
            "channels": images.channels,
            "image_size": images.image_size,
            "resize": "shorter side to image_size, antialiased, then the centre cut out",
            "value_range": plain(images.value_ranges),
            "range": "from 0..255: / 127.5 - 1; the network itself resizes and normalises further",
        },
        "metric": trial.config.metric,
        "metrics": metrics or {trial.config.metric: state.best.value},
        "by_class": {
            name: row._asdict()
            for name, row in zip(images.classes, class_results(trial.trainer, weights), strict=True)
        },
        "data": {
            "name": images.name,
            "digest": images.digest,
            "num_train": len(images.train.labels),
            "num_val": len(images.val.labels),
        },
        "made": {**origin, **_circumstances(trial)},
    }
    files = {WEIGHTS: save(_plain_weights(whole_weights(state.classifier, weights)))}
    if trial.config.joint.has_gan:
        files[GENERATOR] = save(_plain_weights(state.gan.ema.module.state_dict()))
    files[CONFIG] = to_yaml(plain(trial.config)).encode()
    return files | {MODEL: to_yaml(description).encode()}


def _circumstances(trial: Trial) -> dict[str, Any]:
    is_gpu = trial.data.device.type == "cuda"
    return {
        "seed": trial.config.seed,
        "epochs": trial.state.joint_epoch,
        "epoch_of_the_weights": trial.state.best.epoch,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(trial.data.device) if is_gpu else "cpu",
        **({} if is_gpu else {"threads": torch.get_num_threads()}),
    }


def write_model(folder: str, files: Mapping[str, bytes]) -> None:
    """Write the files of a model into a folder, a path or URI, in their order."""
    storage = storage_at(folder)
    for name, content in files.items():
        storage.write(name, content)


def load_model(folder: Path, device: torch.device = CPU) -> Model:
    """Return the model of a folder, ready for use.

    No code from the folder is run and nothing is downloaded, so the folder may be untrusted.

    Args:
        folder: Folder that ``train`` wrote.
        device: Device of the classifier.

    Raises:
        InputError: A file is missing, damaged, or of another model; the message names it.
    """
    _require_model(folder)
    document = read_yaml(folder / MODEL)
    stored = parse(Description, document)
    try:
        classifier = stored.backbone.build(
            num_classes=len(stored.classes),
            channels=stored.transforms.channels,
            image_size=stored.transforms.image_size,
            is_fetching=False,
        )
    except InputError as error:
        named = InputError("backbone", got=error.got, expected=error.expected)
        raise locate_error(named, document) from error
    _load_weights(classifier, folder / WEIGHTS, "classifier", MODEL)
    ready = classifier.eval().requires_grad_(requires_grad=False).to(device)
    return Model(
        folder,
        ready,
        stored.classes,
        stored.transforms,
        stored.data.digest,
        stored.metric,
        stored.by_class,
    )


def _require_model(folder: Path) -> None:
    """Raise InputError if a folder is no model's; name a model folder in it or beside it."""
    with suppress(OSError):  # Reading says why a folder cannot be entered.
        if (folder / MODEL).exists():
            return
        expected = f"a model folder (with {MODEL})"
        inside = sorted(
            path.parent for depth in ("*", "models/*") for path in folder.glob(f"{depth}/{MODEL}")
        )
        if inside:
            expected += f", such as {inside[0]}"
        beside = [str(path.parent) for path in folder.parent.glob(f"*/{MODEL}")]
        raise InputError(Parameter("folder"), got=str(folder), expected=expected, choices=beside)


def load_classifier(folder: Path) -> tuple[Classifier, tuple[str, ...]]:
    """Return the classifier of a model folder and its class names; see :func:`load_model`."""
    model = load_model(folder)
    return model.classifier, model.classes


def model_config(folder: Path, assignments: Sequence[str] = ()) -> TrialConfig:
    """Return the configuration that a model was trained with.

    Args:
        folder: Folder of the model.
        assignments: ``path=value`` changes.

    Raises:
        InputError: The configuration is missing or unusable.
    """
    document = read_yaml(folder / CONFIG)
    for assignment in assignments:
        document.set(assignment)
    return parse(TrialConfig, document)


def load_generator(model: Model, device: torch.device = CPU) -> tuple[nn.Module, int]:
    """Return the averaged generator of a model, in eval mode, and the length of its ``z``.

    The generator takes ``(z [n, latent_dim], labels [n])`` and returns images in [-1, 1].

    Raises:
        InputError: The model has no generator, or its files do not fit each other.
    """
    config = model_config(model.folder)
    if not config.joint.has_gan:
        raise InputError(
            str(model.folder),
            got=Text(f"no generator (joint.extra_images: {config.joint.extra_images})"),
            expected="a model that was trained with a GAN",
        )
    generator = config.gan.build_generator(
        num_classes=len(model.classes),
        channels=model.transforms.channels,
        image_size=model.transforms.image_size,
    )
    _load_weights(generator, model.folder / GENERATOR, "generator", CONFIG)
    return generator.eval().requires_grad_(requires_grad=False).to(device), config.gan.latent_dim


def _load_weights(network: nn.Module, file: Path, what: str, beside: str) -> None:
    try:
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            str(file),
            got=Text(f"no weights of this {what} ({reason[:200]})"),
            expected=f"a safetensors file as distill-tune train writes it beside its {beside}",
        ) from error


def _plain_weights(weights: StateDict) -> dict[str, torch.Tensor]:
    return {name: value.cpu().contiguous() for name, value in weights.items()}
