"""Where a trial computes, and how one knows that its memory is used up."""

from collections.abc import Mapping

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of a GPU, or of the host, is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch's allocator for CPUs raises a plain RuntimeError.
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def device_of(bundle: Mapping[str, float]) -> torch.device:
    """Return where work with these resources computes: a GPU only if it holds a share of one.

    Ray leaves every GPU visible to work that asked for none. On a CPU the number of threads is
    that of the cores.
    """
    if bundle.get("GPU", 0) > 0:
        return torch.device("cuda")
    torch.set_num_threads(max(1, int(bundle.get("CPU", 1))))
    return torch.device("cpu")
