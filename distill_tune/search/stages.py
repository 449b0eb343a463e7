"""Shared stages: the pre-trained classifier and the warmed GAN, computed once before the trials.

Neither depends on a searched parameter. A product is stored in the study under a key of all that
it depends on; a trial whose own key is found there loads it by path, any other computes its own.
Nothing is computed on demand from inside a trial's request to Ray: trials hold the resources that
such work would wait for.
"""

import hashlib
import io
import json
import pickle
import time
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import torch

from distill_tune import __version__
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, Metrics, plain
from distill_tune.seal import seal, unseal
from distill_tune.storage import storage_at

SharedStage = Literal["classifier", "warmup"]
_WARMUP_FREE = ("triplet_steps",)


class StageResult(NamedTuple):
    """What became of one shared stage.

    Attributes:
        name: ``classifier/resnet50`` or ``warmup``.
        key: Under which the product is stored.
        seconds: Wall time of its computation, 0 if it was there already.
        metrics: Its last report's numbers.
        cached: Whether it was there already.
    """

    name: str
    key: str
    seconds: float
    metrics: Metrics
    cached: bool


def stage_key(stage: SharedStage, config: TrialConfig, digest: str, device: torch.device) -> str:
    """Return 16 hex digits over all that a stage's product depends on.

    Args:
        stage: Which of the two.
        config: The trial's.
        digest: The data's.
        device: Its kind enters: a GPU's numbers are not a CPU's.
    """
    depends: dict[str, Any] = {
        "stage": stage,
        "version": __version__,
        "data": digest,
        "seed": config.seed,
        "device": device.type,
    }
    if stage == "classifier":
        depends |= {"backbone": plain(config.backbone), "classifier": plain(config.classifier)}
    else:
        gan = plain(config.gan)
        depends["gan"] = {name: gan[name] for name in gan if name not in _WARMUP_FREE}
    text = json.dumps(depends, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def stage_name(stage: SharedStage, config: TrialConfig) -> str:
    """Return what people call a stage: ``warmup``, or ``classifier/resnet50``."""
    return f"classifier/{config.backbone.name}" if stage == "classifier" else stage


def is_shared(stage: SharedStage, paths: Iterable[str]) -> bool:
    """Tell whether trials that differ in these fields have a stage in common.

    Args:
        stage: Which of the two.
        paths: Dotted paths of the searched fields.
    """
    room = "classifier" if stage == "classifier" else "gan"
    free = {f"gan.{name}" for name in _WARMUP_FREE}
    return not any(path.startswith(f"{room}.") and path not in free for path in paths)


def file_name(stage: SharedStage, key: str) -> str:
    """Return where in a study the product of a stage is stored."""
    return f"stages/{stage}-{key}.pt"


def stored_stage(
    stage: SharedStage, config: TrialConfig, digest: str, root: str, device: torch.device
) -> bytes | None:
    """Return the product of a stage as the study holds it, None if it does not; arguments as below.

    Raises:
        ValueError: It is damaged; the message names the file.
    """
    storage, name = storage_at(root), file_name(stage, stage_key(stage, config, digest, device))
    if not storage.exists(name):
        return None
    try:
        return unseal(storage.read(name))
    except ValueError as error:
        raise ValueError(f"{storage.path(name)}: {error}") from error


def compute_stage(
    stage: SharedStage, config: TrialConfig, images: ImageData, root: str, device: torch.device
) -> Iterator[StageResult | tuple[str, Report]]:
    """Compute a stage's product and store it, atomically.

    Args:
        stage: Which of the two.
        config: Any trial's configuration that shares it.
        images: The study's data.
        root: The study directory or URI.
        device: Where to compute.

    Yields:
        Its name and a report at a time; at last what became of it.
    """
    key, name = stage_key(stage, config, images.digest, device), stage_name(stage, config)
    started = time.perf_counter()
    trial = Trial(config, images, device)
    reports = []
    for report in trial.warm_up() if stage == "warmup" else trial.train_classifier():
        reports.append(report)
        yield name, report
    product = trial.warmup_product() if stage == "warmup" else trial.classifier_product()
    buffer = io.BytesIO()
    torch.save({"product": product, "reports": [list(report) for report in reports]}, buffer)
    storage_at(root).write(file_name(stage, key), seal(buffer.getvalue()))
    metrics = reports[-1].metrics if reports else {}
    yield StageResult(name, key, time.perf_counter() - started, metrics, cached=False)


def adopt_stages(trial: Trial, digest: str, root: str) -> tuple[list[Report], list[str]]:
    """Give a fresh trial the products that the study holds for it.

    Returns:
        What the stages reported when they were computed, in their order; and which product is
        damaged, so that the trial has to compute its own.
    """
    device = trial.data.device
    reports: list[Report] = []
    warnings: list[str] = []
    stages: tuple[SharedStage, ...] = ("classifier", "warmup")
    for stage in stages:
        try:
            saved = _loaded(stage, trial.config, digest, root, device)
        except ValueError as error:
            warnings.append(f"{error}; the trial computes its own")
            continue
        if saved is None:
            continue
        if stage == "classifier":
            trial.adopt_classifier(saved["product"])
        else:
            trial.adopt_warmup(saved["product"])
        reports += [Report(*report) for report in saved["reports"]]
    return reports, warnings


def _loaded(
    stage: SharedStage, config: TrialConfig, digest: str, root: str, device: torch.device
) -> dict[str, Any] | None:
    content = stored_stage(stage, config, digest, root, device)
    if content is None:
        return None
    try:
        saved: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location=device, weights_only=True
        )
    except torch.OutOfMemoryError:
        raise
    except (pickle.UnpicklingError, RuntimeError) as error:
        path = storage_at(root).path(file_name(stage, stage_key(stage, config, digest, device)))
        raise ValueError(f"{path}: holds other things than tensors and plain data") from error
    return saved
