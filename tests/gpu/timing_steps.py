"""The step that measures time: of a step of each stage, and of several processes at once."""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from scipy.optimize import linear_sum_assignment

from distill_tune.distill import pairing
from distill_tune.distill.classifier_stage import real_batches
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.trial import Trial
from tests.gpu.device_steps import large_config, stage_of
from tests.gpu.place import Place, noise, small_networks, small_trial

RATIOS, PROCESSES, NUM_STEPS = (0.0, 1.0, 2.0), (1, 2, 4), 20


def timing(place: Place) -> None:
    """Milliseconds of a step of each kind, its kernels, and steps per second of some processes."""
    if not place.is_gpu:
        with small_networks():
            _stages(place, "small", small_trial(place), num_steps=3)
        return
    images = noise(5000)
    for name in ("resnet50", "alexnet"):
        for is_compiled in (False, True):
            for ratio in RATIOS:
                config = large_config(name, synthetic_ratio=ratio)
                compute = config.compute.model_copy(update={"compile": is_compiled})
                trial = Trial(config.model_copy(update={"compute": compute}), images, place.device)
                what = f"{name}, {'compiled' if is_compiled else 'eager'}, ratio {ratio:g}"
                _stages(place, what, trial, num_steps=NUM_STEPS)
    for count in PROCESSES:
        place.note(**{f"steps per second of {count} processes": _throughput(count)})


def _stages(place: Place, what: str, trial: Trial, *, num_steps: int) -> None:
    trainer, stage = trial.trainer, stage_of(trial)
    gan = trial.config.gan
    batch = next(real_batches(trial.data, trial.config.classifier, seed=0, epoch=0))
    steps: dict[str, Callable[[int], object]] = {
        "warmup": lambda _: trainer.step(lr=gan.lr, triplet_weight=0.0),
        "triplet": lambda _: trainer.step(lr=gan.lr, triplet_weight=1.0),
        "joint": lambda step: stage.step(1, step, batch),
    }
    found: dict[str, Any] = {
        f"{name}_ms": round(1000 * median_s(place, step, num_steps), 2)
        for name, step in steps.items()
    }
    found["assignment"] = round(_assignment_share(place, stage, batch), 3)
    if place.is_gpu:
        found |= _kernels(lambda: steps["joint"](0))
    place.note(**{what: found})


def median_s(place: Place, step: Callable[[int], object], num_steps: int) -> float:
    """Return the median seconds of a step, after two that do not count."""
    times = []
    for number in range(-2, num_steps):
        place.wait()
        began = time.perf_counter()
        step(number + 2)
        place.wait()
        if number >= 0:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _assignment_share(place: Place, stage: JointStage, batch: Any) -> float:
    """Return the share of a joint step in which the host assigns hard images."""
    seconds, assign = [0.0], linear_sum_assignment

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return assign(*arguments, **options)
        finally:
            seconds[0] += time.perf_counter() - began

    with patch.object(pairing, "linear_sum_assignment", timed):
        whole = median_s(place, lambda step: stage.step(1, step, batch), 1)
    return seconds[0] / 3 / whole


def _kernels(step: Callable[[], object]) -> dict[str, Any]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        step()
        torch.cuda.synchronize()
    kernels = [one for one in seen.events() or [] if one.device_type.name == "CUDA"]
    busy_us = sum(one.device_time_total for one in kernels)
    return {"kernels": len(kernels), "gpu_ms": round(busy_us / 1000, 2)}


def _throughput(count: int) -> float:
    """Return the joint steps per second of so many processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_steps, args=(barrier, times)) for _ in range(count)]
    for process in processes:
        process.start()
    seconds: list[float] = [times.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return round(count * NUM_STEPS / max(seconds), 2)


def _steps(barrier: Any, times: Any) -> None:
    trial = Trial(large_config("resnet50"), noise(), torch.device("cuda", 0))
    stage = stage_of(trial)
    batch = next(real_batches(trial.data, trial.config.classifier, seed=0, epoch=0))
    for step in range(3):
        stage.step(1, step, batch)
    torch.cuda.synchronize()
    barrier.wait(timeout=100)
    began = time.perf_counter()
    for step in range(NUM_STEPS):
        stage.step(1, step, batch)
    torch.cuda.synchronize()
    times.put(time.perf_counter() - began)
