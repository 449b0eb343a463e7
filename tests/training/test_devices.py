"""Preparation of a process for its trials."""

import platform

import pytest

from distill_tune.training.devices import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_the_allocator_takes_the_settings() -> None:
    """Else each step gets the memory of its gradients page by page again."""
    assert keep_freed_memory()
