"""Execution of forward passes in training: precision and compilation."""

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
    """A caller of networks with a given precision and compilation.

    Compiled code is kept apart from a network and never wraps it, so that its state dict, modes and
    other calls are unaffected. It is specialised to one shape: if shapes or numbers change from
    step to step, call through ``uncompiled``.

    Args:
        compute: Precision, and whether to compile.
        device: Device of the networks.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._device = device.type
        self._is_bfloat16 = compute.is_bfloat16(is_gpu=device.type == "cuda")
        self._compiled: dict[nn.Module, Callable[..., Tensor]] | None = None
        if compute.compile:
            self._compiled = {}
            # Code compiled by earlier trials of this process would count towards torch's limit.
            torch.compiler.reset()

    @property
    def uncompiled(self) -> "Execution":
        """The same precision without compilation."""
        if self._compiled is None:
            return self
        compute = Compute(precision="bfloat16" if self._is_bfloat16 else "float32")
        return Execution(compute, torch.device(self._device))

    def __call__(self, network: nn.Module, *inputs: Tensor | float) -> Tensor:
        """Return the network's output in float32, whatever the computation's precision."""
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
            # The options of mode "reduce-overhead", which cannot be combined with other options;
            # fallback_random draws the same random numbers as eager code.
            options: dict[str, str | int | bool | Callable[..., Any]] = {
                "triton.cudagraphs": self._device == "cuda",
                "fallback_random": True,
            }
            self._compiled[network] = torch.compile(network, dynamic=False, options=options)
        return self._compiled[network]


def require_compiler(compute: Compute) -> None:
    """Raise an error if compilation is requested but not possible.

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
