"""The rehearsal of a trial: some steps of each stage are timed instead of run to their end."""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, count
from typing import Any

import torch

from distill_tune.cluster.gpu_memory import forget_peak, memory_in_use
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.distill.classifier_stage import num_steps, real_batches, train_step
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.monitoring.fidelity import train_judge
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.model import model_files
from distill_tune.records.gpu_use import GpuUse
from distill_tune.training.checkpoints.content import num_bytes
from distill_tune.training.devices import device_of
from distill_tune.training.peak_memory import MILD, busiest_epoch, run_largest_steps
from distill_tune.tuning.dry_run.forecast import TrialCost

_CALLS, _LONG_S = 5, 2.0


def rehearse_task(
    config: TrialConfig, largest: TrialConfig, images: PlacedImages, bundle: dict[str, float]
) -> Iterator[TrialCost | None]:
    """Yield None at once, then the cost of a trial, as a task with the resources of one.

    Args:
        config: The trial's.
        largest: The same with the largest sizes of the space, for the memory of a GPU.
        images: The study's.
        bundle: Resources of a trial.
    """
    yield None
    data, device = images.images(), device_of(bundle)
    cost = rehearse(config, data, device)
    if device.type == "cuda":
        forget_peak()
        run_largest_steps(largest, data, device)
        cost = cost._replace(gpu=GpuUse(*memory_in_use(bundle["GPU"]), None))
    yield cost


def rehearse(config: TrialConfig, images: ImageData, device: torch.device) -> TrialCost:
    """Time some steps of every stage, and return what a whole trial takes.

    A warm-up without a given length counts with its greatest one.

    Raises:
        Exception: Whatever the trial itself would raise, such as ``torch.OutOfMemoryError``.
    """
    joint = config.joint.model_copy(update=MILD)
    config = config.model_copy(update={"joint": joint})
    seconds, training, seed = partial(_seconds, device), config.classifier, config.seed
    began = _now(device)
    trial = Trial(config, images, device)
    state, trainer, data = trial.state, trial.trainer, trial.data
    reference = Reference.measure(trainer) if joint.has_gan else None
    setup_s = _now(device) - began
    step = partial(train_step, state.classifier, state.optimizer, execution=trainer.execution)
    epochs = (real_batches(data, training, seed=seed, epoch=epoch) for epoch in count())
    batches = chain.from_iterable(epochs)
    classifier_s = seconds(lambda: step(next(batches)))
    refresh_s = seconds(JointStage(trainer, None).refresh, 0)
    judge_s = warmup_s = triplet_s = 0.0
    if joint.has_gan:
        judge_s = seconds(train_judge, state.gan.judge, data, seed, 1)
        # Most steps have the whole class signal.
        state.gan.step = config.warmup_limit
        gan_step = partial(seconds, trainer.step, lr=config.gan.lr)
        warmup_s, triplet_s = (gan_step(triplet_weight=w) for w in (0.0, joint.triplet_weight))
    enter(state, config)
    stage, busiest, numbers = JointStage(trainer, reference), busiest_epoch(config), count()
    joint_s = seconds(lambda: stage.step(busiest, next(numbers), next(batches)))
    monitors_s, validate_s = _monitors_s(stage, seconds), seconds(stage.validate, busiest)
    steps = num_steps(data, training)
    epoch_s = steps * joint_s + validate_s
    # Of a plateau as many as there can be: every other epoch.
    refreshes = [joint.is_refresh_due(n, n - 2 + n % 2) for n in range(joint.epochs)]
    return TrialCost(
        {
            "setup": setup_s,
            "classifier": training.epochs * (steps * classifier_s + validate_s),
            "warmup": config.gan.judge_steps * judge_s + config.warmup_limit * warmup_s,
            "triplet": refresh_s + config.triplet_steps * triplet_s,
            "joint": joint.epochs * epoch_s + monitors_s + sum(refreshes) * refresh_s,
        },
        checkpoint_bytes=num_bytes(state.state_dict()),
        model_bytes=sum(map(len, model_files(trial, images, {}).values())),
    )


def _monitors_s(stage: JointStage, seconds: Callable[..., float]) -> float:
    """Return the seconds of the monitors of all epochs, of which some measure less."""
    epochs_of: dict[bool, list[int]] = {}
    joint = stage.trainer.config.joint
    for epoch in range(joint.epochs):
        epochs_of.setdefault(joint.is_fully_monitored(epoch), []).append(epoch)
    total = 0.0
    for epochs in epochs_of.values():
        stage.state.joint_epoch = epochs[0]
        total += len(epochs) * seconds(stage.monitor)
    stage.state.joint_epoch = 0
    return total


def _seconds(device: torch.device, work: Callable[..., object], *given: Any, **named: Any) -> float:
    """Return the median time of some calls after a first one, which may allocate or compile."""
    times: list[float] = []
    while len(times) <= _CALLS and sum(times[1:]) < _LONG_S:
        began = _now(device)
        work(*given, **named)
        times.append(_now(device) - began)
    return statistics.median(times[1:])


def _now(device: torch.device) -> float:
    """Return the time once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
