"""What one trial takes of a GPU, measured in the trial's own process during an epoch."""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from distill_tune.distill.trial import Report
from distill_tune.records.gpu_sharing import GpuUse
from distill_tune.study.sections import Resources

_EVERY_S = 0.25
_PATIENCE_S = 5.0


class GpuMeter:
    """Measures the first epoch of stage 3 that a process computes of each backbone.

    Only where the study asks for it, and where a trial has a whole GPU: of a share, what is seen
    would be the others' too.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._is_due, self._backbone = False, ""
        self._use: GpuUse | None = None

    def begin(self, backbone: str, resources: Resources, bundle: Mapping[str, float]) -> None:
        """Take on a trial.

        Args:
            backbone: Of the trial.
            resources: What the study says of a trial's.
            bundle: What the trial has, as Ray says it.
        """
        is_asked = resources.gpus in {"auto", "fit"} and bundle.get("GPU") == 1
        self._is_due, self._backbone = is_asked and backbone not in self._seen, backbone

    def watch(self, reports: Iterator[Report]) -> Iterator[Report]:
        """Return a trial's reports; up to the first of stage 3 if its epoch is to be measured."""
        return self._watched(reports) if self._is_due else reports

    def _watched(self, reports: Iterator[Report]) -> Iterator[Report]:
        # No `yield from`: closed, it would close the reports too, of which more are to come.
        with _sampling() as samples:
            for report in reports:
                if report.stage == "joint":
                    break
                # What an earlier stage did is not what most of a trial's time is like.
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

    def told(self) -> dict[str, Any]:
        """Return what was measured since the last call, as a part of a result."""
        use, self._use = self._use, None
        return {} if use is None else {"gpu_use": use._asdict()}


@contextmanager
def _sampling() -> Iterator[list[float]]:
    """Fill a list, in a thread, with how busy the GPU is, a few times a second."""
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


def memory_in_use() -> tuple[int, int]:
    """Return the bytes that this process had of its GPU at its peak, and those of the GPU.

    What the driver counts beside PyTorch's own (the process's context, but other programs too)
    is taken for the process's.
    """
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    return torch.cuda.max_memory_reserved() + max(0, beside), total


def utilisation_reader() -> Callable[[], float | None]:
    """Return what reads the share of the last moments, in [0, 1], in which the GPU computed.

    It touches CUDA no more. It returns None where NVIDIA's ``nvidia-smi`` is missing or does not
    know.
    """
    # By its UUID: nvidia-smi's numbers are neither CUDA's nor those that Ray lets be seen.
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
