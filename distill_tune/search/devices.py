"""Where a trial computes."""

from collections.abc import Mapping

import torch


def device_of(bundle: Mapping[str, float]) -> torch.device:
    """Return where work with these resources computes: a GPU only if it holds a share of one.

    Ray leaves every GPU visible to work that asked for none. On a CPU the number of threads is
    that of the cores.
    """
    if bundle.get("GPU", 0) > 0:
        return torch.device("cuda")
    torch.set_num_threads(max(1, int(bundle.get("CPU", 1))))
    return torch.device("cpu")
