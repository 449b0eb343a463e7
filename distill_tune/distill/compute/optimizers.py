"""Optimisers: the GAN's can be captured in a CUDA graph; on a CPU, steps without copies."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from distill_tune.distill.backbones.pointwise_layers import centre

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


def load_adamw(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load a classifier's state, also of a version that trained weights that never act.

    Args:
        optimizer: Of the classifier.
        saved: Its ``state_dict()``; not changed.
    """
    optimizer.load_state_dict(copy.deepcopy(saved))
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.dim() > parameter.dim():
                state[name] = centre(value).clone(memory_format=torch.contiguous_format)


def write_lr(group: dict[str, Any], lr: float) -> None:
    """Set the learning rate of a parameter group; one that is a tensor is written in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def step_in_memory_order(optimizer: torch.optim.Optimizer) -> None:
    """Let every step see channels-last tensors on a CPU as they lie in memory.

    torch's fused CPU steps first copy a gradient that is not contiguous in the default format (and
    use it uncopied): a quarter of the time of a classifier's step on small images. Around a step,
    convolution weights, their gradients and their state become views whose last dimension is the
    channels, which are contiguous; the numbers are the same.

    Args:
        optimizer: Of one element-wise rule, fused. Outside a step it is unchanged, its
            ``state_dict()`` included.
    """
    permuted: list[Tensor] = []

    def before(stepping: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [one for group in stepping.param_groups for one in group["params"]]
        permuted.extend(one for one in parameters if one.grad is not None and _has_copies(one))
        for parameter in permuted:
            _permute(stepping, parameter, (0, 2, 3, 1))

    def after(stepping: torch.optim.Optimizer, *_: Any) -> None:
        while permuted:
            _permute(stepping, permuted.pop(), (0, 3, 1, 2))

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def _has_copies(parameter: Tensor) -> bool:
    is_permutable = parameter.dim() == 4 and parameter.device.type == "cpu"
    return (
        is_permutable
        and parameter.is_contiguous(memory_format=torch.channels_last)
        and not parameter.is_contiguous()
    )


def _permute(optimizer: torch.optim.Optimizer, parameter: Tensor, order: tuple[int, ...]) -> None:
    """Permute the dimensions of a parameter and of its gradient and state, without copies."""
    assert parameter.grad is not None  # noqa: S101
    gradient = parameter.grad.permute(order)
    parameter.grad = None
    parameter.data = parameter.data.permute(order)
    parameter.grad = gradient
    for name, value in optimizer.state[parameter].items():
        if isinstance(value, Tensor) and value.dim() == len(order):
            optimizer.state[parameter][name] = value.permute(order)
