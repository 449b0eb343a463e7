"""Execution of forward passes in training: precision and compilation."""

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_tune.distill.trial_config import Compute
from distill_tune.errors import InputError, Text

_OF_CPU = ("CXX", ("g++", "clang++", "c++"), "a C++ compiler")
_OF_GPU = ("CC", ("gcc", "clang"), "a C compiler")


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
        self._is_bfloat16 = compute.is_bfloat16(
            is_native=device.type == "cuda" and supports_bfloat16()
        )
        self._compiled: dict[Callable[..., Tensor], Callable[..., Tensor]] | None = None
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

    def exact(self, call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return a method of a network, compiled like networks, for calls in float32.

        Args:
            call: Such as a classifier's ``features``; the same method of the same network is
                compiled once.
        """
        return call if self._compiled is None else self._compiled_call(call)

    def _compiled_call(self, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        assert self._compiled is not None  # noqa: S101
        if call not in self._compiled:
            # The options of mode "reduce-overhead", which cannot be combined with other options;
            # fallback_random draws the same random numbers as eager code.
            options: dict[str, str | int | bool | Callable[..., Any]] = {
                "triton.cudagraphs": self._device == "cuda",
                "fallback_random": True,
            }
            self._compiled[call] = torch.compile(call, dynamic=False, options=options)
        return self._compiled[call]


def supports_bfloat16() -> bool:
    """Return whether the GPU convolves in bfloat16: one of compute capability 8.0 or newer.

    Older ones only emulate it, and cuDNN has no convolution for them.
    """
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def missing_compiler(*, is_gpu: bool) -> str:
    """Return what compiled code lacks here, such as ``a C++ compiler``; empty if it has all.

    On a CPU, torch compiles C++; on a GPU, Triton compiles C with Python's headers.
    """
    variable, usual, what = _OF_GPU if is_gpu else _OF_CPU
    names = [name for name in (os.environ.get(variable), *usual) if name]
    if not any(shutil.which(name) for name in names):
        return f"{what} ({', '.join(names)})"
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    return "" if headers.exists() else f"Python's header files ({headers})"


def require_compiler(compute: Compute, *, is_gpu: bool) -> None:
    """Raise an error if compilation is requested but not possible here.

    Raises:
        InputError: There is no compiler, or Python's header files are missing.
    """
    missing = missing_compiler(is_gpu=is_gpu) if compute.compile else ""
    if missing:
        got = Text(f"true on a machine without {missing}")
        raise InputError("compute.compile", got=got, expected="a machine with that, or false")
