"""Check that torch can compute on this machine as a trial asks: its GPU, bfloat16, a compiler."""

import os
from pathlib import Path

import torch
import torch.nn.functional as F

from distill_tune.distill.compute.execution import missing_compiler, supports_bfloat16
from distill_tune.distill.trial_config import Compute

_DEVICES, _OF_GPUS = Path("/dev"), ("nvidia[0-9]*", "kfd", "dxg")
_HIDES_GPUS = "CUDA_VISIBLE_DEVICES"


def gpu_obstacle(compute: Compute, device: torch.device | None = None) -> str:
    """Return why torch cannot use the GPU of this machine as asked, in a line; empty if it can.

    It convolves an image on the GPU, so a process that calls this holds a context there until it
    ends. A GPU whose memory is taken counts as usable.

    Args:
        compute: The trials'.
        device: Which GPU, if there are several; None: the first.
    """
    if os.environ.get(_HIDES_GPUS) == "":
        # Ray may hide all GPUs from a task that asks for none.
        del os.environ[_HIDES_GPUS]
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is built for CPUs only"
    try:
        # Unlike is_available(), this says what is wrong.
        torch.cuda.init()
        image = torch.ones(1, 1, 3, 3, device=device or "cuda")
        F.conv2d(image, image).item()
        can_round = compute.precision != "bfloat16" or supports_bfloat16()
    except (RuntimeError, AssertionError) as error:
        if "out of memory" in str(error):
            return ""
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return f"torch {torch.__version__} cannot use its GPU: {why}"
    return "" if can_round else "its GPU does not compute in bfloat16 (trial.compute.precision)"


def compiler_obstacle(compute: Compute, *, is_gpu: bool) -> str:
    """Return what compiled trials lack on this machine, in a line; empty if nothing is missing."""
    missing = missing_compiler(is_gpu=is_gpu) if compute.compile else ""
    return f"trial.compute.compile needs {missing}" if missing else ""


def unused_gpu() -> str:
    """Return a warning if this machine has a GPU that torch cannot use; empty otherwise.

    GPUs that the user hides (``CUDA_VISIBLE_DEVICES``) are not missed.
    """
    is_wanted = os.environ.get(_HIDES_GPUS, "0") not in {"", "-1"}
    is_there = any(any(_DEVICES.glob(pattern)) for pattern in _OF_GPUS)
    if torch.cuda.is_available() or not (is_wanted and is_there):
        return ""
    why = gpu_obstacle(Compute())
    return f"this machine has a GPU, but {why}; training on the CPU" if why else ""
