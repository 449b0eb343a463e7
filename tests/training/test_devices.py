"""Preparation of a process for its trials, and what it leaves behind."""

import platform
from pathlib import Path

import pytest
import torch

from distill_tune.training.devices import keep_freed_memory, return_freed_memory

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the settings are glibc's"
)


def anonymous_bytes() -> int:
    """Return the memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(size) * 1024


def test_the_allocator_takes_the_settings() -> None:
    """Else each step gets the memory of its gradients page by page again."""
    assert keep_freed_memory()


def test_memory_that_was_freed_is_kept_until_it_is_returned() -> None:
    assert keep_freed_memory()
    tensors = [torch.ones(4 << 20) for _ in range(16)]
    full = anonymous_bytes()
    del tensors
    kept = anonymous_bytes()
    assert full - kept < 64 << 20
    assert return_freed_memory()
    assert kept - anonymous_bytes() > 192 << 20, "of 256 MiB"
