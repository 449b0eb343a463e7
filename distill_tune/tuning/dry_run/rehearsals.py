"""Trials tried out as Ray tasks, one in each slot at a time: they slow each other as trials do."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from distill_tune.cluster.gpu_memory import memory_in_use
from distill_tune.cluster.resources import Slots, task_options
from distill_tune.cluster.shared_images import PlacedImages, placed
from distill_tune.cluster.task_pool import Failed, FixedNodes, Reported, TaskPool
from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import RehearsalError
from distill_tune.interfaces import ImageData
from distill_tune.model import model_files, write_model
from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoint_writer import num_bytes
from distill_tune.training.devices import device_of
from distill_tune.training.memory import is_out_of_memory, memory_detail
from distill_tune.training.tensorboard.trial_summaries import GRID_PER_CLASS, TrialSummaries
from distill_tune.tuning.dry_run.estimate import Measured, Sizes, StageTimes
from distill_tune.tuning.dry_run.rehearsal import Parts, Rehearsal, stage_times

_MOST_AT_ONCE = 64


class Finding(NamedTuple):
    """What one trial that was tried out took.

    Attributes:
        backbone: Its own.
        parts: Its steps.
        measured: What follows for the trial.
        worker_s: From the call until the process could compute.
    """

    backbone: str
    parts: Parts
    measured: Measured
    worker_s: float


def rehearse(
    configs: Iterable[TrialConfig], images: ImageData, slots: Slots, say: Callable[[str], object]
) -> list[Finding]:
    """Try out configurations, each on the resources of a trial.

    Args:
        configs: Several of one backbone stand together: the slots are to be full of it.
        images: The study's data.
        slots: Of the cluster that was joined.
        say: Takes how far it is.

    Raises:
        RehearsalError: One of them cannot run.
    """
    shared = placed(images)
    todo, bundle = list(configs), slots.bundle
    found: dict[int, Finding] = {}
    begun = 0
    with TaskPool[int](FixedNodes(slots.count), task_options(bundle)) as pool:
        while len(found) < len(todo):
            while begun < len(todo) and pool.has_room:
                pool.start(begun, _rehearse, todo[begun], shared, bundle, time.time())
                begun += 1
            for event in pool.listen():
                config = todo[event.work]
                if isinstance(event, Failed):
                    raise _refusal(config, event, slots) from event.error
                if isinstance(event, Reported):
                    found[event.work] = event.value
                    say(f"measured {config.backbone.name}: {len(found)} of {len(todo)}")
    return [found[number] for number in range(len(todo))]


def num_at_once(slots: Slots) -> int:
    """Return how many are tried out at a time."""
    return min(slots.count, _MOST_AT_ONCE)


def _refusal(config: TrialConfig, failed: Failed[int], slots: Slots) -> RehearsalError:
    cause, why = failed.error, failed.detail
    if cause is not None and is_out_of_memory(cause):
        why = memory_detail(config, str(cause), share=slots.bundle.get("GPU", 1))
    return RehearsalError(f"a trial of {config.backbone.name} cannot run here: {why}")


def _rehearse(
    config: TrialConfig, placed: PlacedImages, bundle: dict[str, float], called_at: float
) -> Iterator[Finding]:
    worker_s = max(0.0, time.time() - called_at)
    device, images = device_of(bundle), placed.images()
    rehearsal = Rehearsal(config, images, device)
    parts = rehearsal.parts()
    with tempfile.TemporaryDirectory() as scratch:
        model_s, model_bytes = _write_model(rehearsal, images, scratch)
        board_bytes = _write_board(rehearsal, f"{scratch}/board")
    state = rehearsal.trial.state
    reference = state.reference.state_dict()
    products = {stage: num_bytes(rehearsal.trial.product(stage)) for stage in _GAN_STAGES}
    products["classifier"] = num_bytes([reference, [list(scores) for scores in rehearsal.scores]])
    yield Finding(
        config.backbone.name,
        parts,
        Measured(
            times=stage_times(parts, rehearsal.trial),
            build_s=parts.build,
            first_s=parts.first,
            model_s=model_s,
            sizes=Sizes(products, num_bytes(state.state_dict()), model_bytes, board_bytes),
            gpu_bytes=memory_in_use() if device.type == "cuda" else None,
        ),
        worker_s,
    )


_GAN_STAGES: tuple[Any, ...] = ("warmup", "triplet")


def _write_model(rehearsal: Rehearsal, images: ImageData, folder: str) -> tuple[float, int]:
    """Write a model as a trial does at a rung; return its seconds and its bytes."""
    began = time.perf_counter()
    files = model_files(rehearsal.trial, images, {})
    write_model(f"{folder}/model", files)
    return time.perf_counter() - began, sum(map(len, files.values()))


def _write_board(rehearsal: Rehearsal, folder: str) -> int:
    """Write what TensorBoard gets of a trial; return its bytes."""
    joint = rehearsal.trial.config.joint
    board = TrialSummaries(folder, "board", {})
    images = rehearsal.trial.sample_images(GRID_PER_CLASS) if joint.has_gan else None
    for epoch in range(1, joint.epochs + 1):
        report = Report("joint", epoch, joint.epochs, dict.fromkeys(_SCALARS, 0.5), 0.0)
        board.add(report)
        board.add_epoch(report, 0.5, images if epoch <= _GRIDS else None)
    board.close()
    return storage_at(folder).size()


_GRIDS = 3
_SCALARS = tuple(f"scalar/number-{index}" for index in range(30))


def mean_of(found: Iterable[Finding]) -> tuple[Parts, Measured]:
    """Return the means of what several trials of one backbone took, and the most memory."""
    every = list(found)
    parts = Parts(*(statistics.mean(column) for column in zip(*_parts(every), strict=True)))
    measured = [one.measured for one in every]
    times = [one.times for one in measured]
    epochs = zip(*(one.joint for one in times), strict=True)
    joint = tuple(statistics.mean(epoch) for epoch in epochs)
    numbers = {
        name: statistics.mean(getattr(one, name) for one in times)
        for name in StageTimes._fields
        if name != "joint"
    }
    gpu = [one.gpu_bytes for one in measured if one.gpu_bytes is not None]
    return parts, Measured(
        times=StageTimes(joint=joint, **numbers),
        build_s=parts.build,
        first_s=max(one.first_s for one in measured),
        model_s=statistics.mean(one.model_s for one in measured),
        sizes=max((one.sizes for one in measured), key=lambda sizes: sizes.checkpoint),
        gpu_bytes=max(gpu, default=None),
    )


def _parts(found: Iterable[Finding]) -> list[Parts]:
    return [one.parts for one in found]
