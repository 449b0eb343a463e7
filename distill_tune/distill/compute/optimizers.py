"""The GAN's optimiser, whose steps on a GPU can be captured in a CUDA graph."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

_OF_DEVICE = ("capturable", "fused", "foreach")


def make_adam(network: nn.Module, lr: float, device: torch.device) -> torch.optim.Optimizer:
    """Return fused Adam with betas (0, 0.9).

    On a GPU the learning rate is a tensor and the optimiser capturable, so that a captured step
    follows changes of the rate.
    """
    is_gpu = device.type == "cuda"
    rate = torch.tensor(lr, device=device) if is_gpu else lr
    return torch.optim.Adam(
        network.parameters(), lr=rate, betas=(0.0, 0.9), fused=True, capturable=is_gpu
    )


def load_adam(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load a state that was saved on any device; what depends on the device stays as it is.

    Args:
        optimizer: From :func:`make_adam`.
        saved: Its ``state_dict()``; not changed, although optimisers change the tensors of a state
            that they load in place.
    """
    own = [{name: group[name] for name in ("lr", *_OF_DEVICE)} for group in optimizer.param_groups]
    optimizer.load_state_dict(copy.deepcopy(saved))
    for group, before in zip(optimizer.param_groups, own, strict=True):
        lr = float(group["lr"])
        group.update(before)
        write_lr(group, lr)


def write_lr(group: dict[str, Any], lr: float) -> None:
    """Set the learning rate of a parameter group; one that is a tensor is written in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr
