"""Device of a trial."""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from distill_tune.records.gpu_use import USABLE_MEMORY

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's parameters, in its ``malloc.h``."""


def device_of(bundle: Mapping[str, float]) -> torch.device:
    """Return the device for these resources: a GPU only if they include a share of one.

    Ray leaves every GPU visible to work that asked for none. Work with less than a whole GPU may
    fill only its share of the memory: it runs out of its own memory, not of its neighbours'. On a
    CPU, the number of threads is set to the number of cores, and freed memory is kept for later
    tensors.
    """
    share = bundle.get("GPU", 0)
    if share > 0:
        if share < 1:
            torch.cuda.set_per_process_memory_fraction(USABLE_MEMORY * share)
        # With its number, as tensors name it: "cuda" and "cuda:0" are not equal.
        return torch.device("cuda", 0)
    torch.set_num_threads(max(1, int(bundle.get("CPU", 1))))
    keep_freed_memory()
    return torch.device("cpu")


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory; return whether its C library can.

    Otherwise, glibc gives the memory of large tensors back to the system, and each training step
    gets it again page by page.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 32 << 20)) and bool(mallopt(_TRIM_THRESHOLD, 1 << 30))


def return_freed_memory() -> bool:
    """Give the freed memory that this process keeps back to the system, before it is idle.

    Return whether its C library can.
    """
    trim = _of_libc("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _of_libc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None if it has none of that name, as only glibc does."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, TypeError):
        return None
    return found


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Set the number of torch's CPU threads while the context is open; None leaves it unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
