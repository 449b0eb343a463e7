"""What a session runs on: versions and machine, for whoever wants to repeat it."""

import os
import platform
from importlib.metadata import version

import torch

_PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy")


def environment() -> dict[str, str | int]:
    """Return versions, system, and what this machine has to compute with."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "CPU cores": os.cpu_count() or 0,
        # Counted without a context of its own on any of them, which would take their memory.
        "GPUs": torch.cuda.device_count(),
    }
