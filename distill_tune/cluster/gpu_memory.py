"""GPU use of one trial, measured in the trial's own process during an epoch."""

import gc
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from distill_tune.distill.trial import Report
from distill_tune.records.gpu_use import GpuUse
from distill_tune.study.sections import Resources

_EVERY_S = 0.25
_PATIENCE_S = 5.0
_CONTEXT_BYTES = 600 * 2**20
"""Memory that a process takes of a GPU beside PyTorch's allocator, if it cannot be measured."""


class GpuMeter:
    """Meter of the first stage-3 epoch that a process computes for each backbone.

    It measures only if the study asks for it and the trial has a whole GPU: on a share, it would
    also see the use of the other trials.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._is_due, self._backbone = False, ""
        self._use: GpuUse | None = None

    @property
    def is_due(self) -> bool:
        """True if the next epoch of stage 3 is measured."""
        return self._is_due

    def begin(self, backbone: str, resources: Resources, bundle: Mapping[str, float]) -> None:
        """Prepare for a trial; if it is to be measured, forget the peak of earlier ones.

        Args:
            backbone: The trial's.
            resources: The study's resources per trial.
            bundle: The trial's resources, by Ray's names.
        """
        is_asked = resources.gpus in {"auto", "fit"} and bundle.get("GPU") == 1
        self._is_due, self._backbone = is_asked and backbone not in self._seen, backbone
        if self._is_due:
            forget_peak()

    def watch(self, reports: Iterator[Report]) -> Iterator[Report]:
        """Return a trial's reports, up to the first of stage 3 if its epoch is to be measured."""
        return self._watched(reports) if self._is_due else reports

    def _watched(self, reports: Iterator[Report]) -> Iterator[Report]:
        # Not `yield from`: closing this generator would close the reports too, and more are to
        # come.
        with _sampling() as samples:
            for report in reports:
                if report.stage == "joint":
                    break
                # Earlier stages are not representative of most of a trial's time.
                samples.clear()
                yield report
            else:
                return
        memory, total = memory_in_use()
        busy = min(1.0, sum(samples) / len(samples)) if samples else None
        self._use = GpuUse(memory, total, busy)
        self._seen.add(self._backbone)
        self._is_due = False
        yield report

    def take_use(self) -> dict[str, Any]:
        """Return what was measured since the last call, as part of a result."""
        use, self._use = self._use, None
        return {} if use is None else {"gpu_use": use._asdict()}


@contextmanager
def _sampling() -> Iterator[list[float]]:
    """Fill a list from a thread with the GPU's utilisation, a few times a second."""
    samples: list[float] = []
    is_over = threading.Event()
    read = utilisation_reader()

    def sample() -> None:
        while not is_over.wait(_EVERY_S):
            busy = read()
            if busy is None:
                return
            samples.append(busy)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def forget_peak() -> None:
    """Return unused memory to the GPU, and measure this process's peak from now on."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory_in_use(share: float = 1) -> tuple[int, int]:
    """Return the peak bytes that this process had of its GPU, and the GPU's total bytes.

    Memory that the driver counts beyond PyTorch's own (the process's context, but also other
    programs) is attributed to a process with a whole GPU. On a share it would include the
    neighbours' memory, so a usual context is added instead.

    Args:
        share: What the process has of the GPU.
    """
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved() if share >= 1 else _CONTEXT_BYTES
    return torch.cuda.max_memory_reserved() + max(0, beside), total


def utilisation_reader() -> Callable[[], float | None]:
    """Return a function that reads the recent share of time that the GPU was busy, in [0, 1].

    The function itself does not touch CUDA. It returns None if NVIDIA's ``nvidia-smi`` is missing
    or does not report the utilisation.
    """
    # By its UUID: nvidia-smi's numbers match neither CUDA's nor those that Ray makes visible.
    return partial(_ask, f"GPU-{torch.cuda.get_device_properties().uuid}")


def _ask(uuid: str) -> float | None:
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--id={uuid}", *query],  # noqa: S607 - wherever the driver put it
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        return float(done.stdout) / 100
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
