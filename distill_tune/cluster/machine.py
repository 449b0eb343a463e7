"""Versions and machine of a session, recorded so that it can be repeated."""

import os
import platform
from importlib.metadata import version

import torch

_PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy")


def environment() -> dict[str, str | int]:
    """Return versions, system, and this machine's compute resources."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "CPU cores": os.cpu_count() or 0,
        # Counting creates no context on any GPU, which would take memory there.
        "GPUs": torch.cuda.device_count(),
    }
