"""The shared stages as Ray tasks, before any trial holds the resources that they need."""

from collections.abc import Iterator
from typing import Any

import ray
import torch

from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DiskFullError, is_disk_full
from distill_tune.interfaces import ImageData
from distill_tune.search.cluster import Slots
from distill_tune.search.devices import device_of
from distill_tune.search.journal import Journal
from distill_tune.search.memory import is_memory_kill
from distill_tune.search.progress import Progress
from distill_tune.search.stages import (
    SharedStage,
    StageResult,
    compute_stage,
    is_shared,
    stage_key,
    stage_name,
    stored_stage,
)
from distill_tune.study import Study


def run_stages(
    study: Study, images: ImageData, journal: Journal, progress: Progress, slots: Slots
) -> None:
    """Compute what trials share and the study does not hold yet: on the resources of a trial.

    The classifier of every backbone and the GAN's warm-up are independent of each other and run
    side by side. One that fails is left to the trials, which then say themselves why they fail.
    """
    root = journal.directory.path()
    device = torch.device("cuda" if slots.bundle.get("GPU") else "cpu")
    # Looked at here: a worker that only finds it ready would take seconds to start.
    missing = [
        (stage, config)
        for stage, config in _wanted(study)
        if not _is_ready(stage, config, images.digest, journal, device)
    ]
    if not missing:
        return
    shared_images = ray.put(images)
    cpus, gpus = slots.bundle["CPU"], slots.bundle.get("GPU", 0)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, num_returns="streaming", max_retries=2)(_stage)
    running = {
        task.remote(stage, config, shared_images, root, slots.bundle): stage_name(stage, config)
        for stage, config in missing
    }
    try:
        while running:
            ready, _ = ray.wait(list(running), num_returns=1, fetch_local=False)
            for stream in ready:
                _advance(stream, running, journal, progress)
    except BaseException:
        for stream in running:
            ray.cancel(stream, force=True)
        raise


def _is_ready(
    stage: SharedStage, config: TrialConfig, digest: str, journal: Journal, device: torch.device
) -> bool:
    try:
        is_ready = stored_stage(stage, config, digest, journal.directory.path(), device) is not None
    except ValueError as error:
        journal.emit("warning", text=f"{error}; it is computed anew")
        return False
    if is_ready:
        key = stage_key(stage, config, digest, device)
        found = StageResult(stage_name(stage, config), key, 0.0, {}, cached=True)
        journal.emit("stage", **found._asdict())
    return is_ready


def _wanted(study: Study) -> list[tuple[SharedStage, TrialConfig]]:
    """Return the stages that the trials of this study share, the longest first."""
    configs = [study.trial_config(backbone.name, {}) for backbone in study.backbones]
    stages: list[tuple[SharedStage, TrialConfig]] = [("warmup", configs[0])]
    stages += [("classifier", config) for config in configs]
    return [found for found in stages if is_shared(found[0], study.space.dimensions)]


def _advance(
    stream: Any,  # ray's ObjectRefGenerator
    running: dict[Any, str],
    journal: Journal,
    progress: Progress,
) -> None:
    """Take the next report of one task, or notice its end."""
    try:
        said = ray.get(next(stream))
    except StopIteration:
        del running[stream]
        return
    except ray.exceptions.RayError as error:
        name = running.pop(stream)
        progress.stage(name, "")
        reason = getattr(error, "cause", None) or error
        if is_disk_full(reason):
            raise DiskFullError(_last_line(reason)) from error
        text = f"shared stage {name} failed, and is left to the trials: {_last_line(reason)}"
        journal.emit("warning", text=text)
        return
    if isinstance(said, StageResult):
        progress.stage(said.name, "")
        journal.emit("stage", **said._asdict())
        return
    name, report = said
    accuracy = report.metrics.get("val/accuracy")
    shown = "" if accuracy is None else f"  val/accuracy {accuracy:.4f}"
    progress.stage(name, f"{report.step}/{report.num_steps}{shown}")


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # Ray's memory monitor ends with advice.
    return lines[0 if is_memory_kill(error) else -1].strip()


def _stage(
    stage: SharedStage,
    config: TrialConfig,
    images: ImageData,
    root: str,
    bundle: dict[str, float],
) -> Iterator[StageResult | tuple[str, Report]]:
    yield from compute_stage(stage, config, images, root, device_of(bundle))
