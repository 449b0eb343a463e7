"""How the networks' training forwards are computed: precision and compilation."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from distill_tune.distill.trial_config import Compute
from distill_tune.errors import InputError, Text

_COMPILERS = ("g++", "clang++", "c++")


class Execution:
    """Calls networks as ``compute`` asks; in float32 without compilation it only calls them.

    Compiled code stands beside a network and never wraps it, so that its state dict, its modes and
    every other call of it stay what they are. It is made for one shape: where shapes or numbers
    change from step to step, call through ``uncompiled``.

    Args:
        compute: Precision, and whether to compile.
        device: Where the networks are.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._device = device.type
        self._is_bfloat16 = compute.is_bfloat16(is_gpu=device.type == "cuda")
        self._compiled: dict[nn.Module, Callable[..., Tensor]] | None = None
        if compute.compile:
            self._compiled = {}
            # What earlier trials of this process compiled would count towards torch's limit.
            torch.compiler.reset()

    @property
    def uncompiled(self) -> "Execution":
        """The same precision without compilation."""
        if self._compiled is None:
            return self
        compute = Compute(precision="bfloat16" if self._is_bfloat16 else "float32")
        return Execution(compute, torch.device(self._device))

    def __call__(self, network: nn.Module, *inputs: Tensor | float) -> Tensor:
        """Return the network's output in float32, whatever it was computed in."""
        call = network if self._compiled is None else self._compiled_call(network)
        if not self._is_bfloat16:
            output: Tensor = call(*inputs)
            return output
        with torch.autocast(self._device, dtype=torch.bfloat16):
            output = call(*inputs)
        return output.float()

    def _compiled_call(self, network: nn.Module) -> Callable[..., Tensor]:
        assert self._compiled is not None  # noqa: S101
        if network not in self._compiled:
            # Those of mode "reduce-overhead", which cannot be given beside others; random numbers
            # as eager code draws them.
            options: dict[str, str | int | bool | Callable[..., Any]] = {
                "triton.cudagraphs": self._device == "cuda",
                "fallback_random": True,
            }
            self._compiled[network] = torch.compile(network, dynamic=False, options=options)
        return self._compiled[network]


def require_compiler(compute: Compute) -> None:
    """Refuse to compile where that cannot be.

    Raises:
        InputError: There is no C++ compiler.
    """
    if not compute.compile:
        return
    names = [name for name in (os.environ.get("CXX"), *_COMPILERS) if name]
    if not any(shutil.which(name) for name in names):
        raise InputError(
            "compute.compile",
            got=Text("true on a machine without a C++ compiler"),
            expected=f"one of {', '.join(names)} on the PATH, or false",
        )
