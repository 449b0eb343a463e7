"""Detection and description of exhausted memory, of a GPU or the host."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError

_EXHAUSTED = re.compile(
    r"(?:CUDA|HIP) (?:driver )?error: out of memory|_STATUS_ALLOC_FAILED|ALLOCATION_FAILED"
    r"|can't allocate memory|not enough memory"
)
"""Messages of plain RuntimeErrors: of CUDA itself, of its libraries, of torch's CPU allocator."""
_NODE = re.compile(r"was ([\d.]+GB used / [\d.]+GB limit)")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of a trial's own code, or one of its causes, is a lack of memory."""
    return memory_error(error) is not None


def memory_error(error: BaseException | None) -> BaseException | None:
    """Return the error that is a lack of memory: this one or one of its causes; else None."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return error
        if isinstance(error, RuntimeError) and _EXHAUSTED.search(str(error)):
            return error
        error = error.__cause__
    return None


def memory_detail(
    config: TrialConfig, message: str, used_gb: float | None = None, *, share: float = 1
) -> str:
    """Return a line that says why a trial ran out of memory, and what needs memory in it.

    Args:
        config: The trial's.
        message: The message of the allocator or of Ray.
        used_gb: Memory of the trial's process, if known.
        share: Share of a GPU that it may use; a share also limits its memory.
    """
    node = _NODE.search(message)
    if node is None:
        why = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    else:
        used = "" if used_gb is None else f" at {used_gb:g} GB"
        why = f"its worker was killed{used}, as the machine was short of memory ({node[1]})"
    gan = config.gan.batch_size
    what = f"{config.backbone.name} with batches of {config.classifier.batch_size}, GAN {gan}"
    if share < 1:
        what += f", on {share:g} of a GPU (resources.gpus)"
    return f"{what}: {why}"


@contextmanager
def named_failures(config: TrialConfig, *, gpu_share: float = 1) -> Iterator[None]:
    """Turn a lack of memory in the body, on a GPU or the host, into a trial's failure.

    Args:
        config: The trial's.
        gpu_share: Share of a GPU that it may use.

    Raises:
        DivergedError: ``out_of_memory``, with the sizes that need memory.
    """
    try:
        yield
    except DivergedError:
        raise
    except Exception as error:
        found = memory_error(error)
        if found is None:
            raise
        detail = memory_detail(config, str(found), share=gpu_share)
        raise DivergedError("out_of_memory", detail) from error
