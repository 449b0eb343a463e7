"""Inputs of a step at fixed addresses, so that the step can be captured as a CUDA graph.

A captured graph reads the same addresses and repeats the same numbers at every replay. What changes
from step to step therefore has to be a tensor that is written in place.
"""

from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")


class FixedBuffers:
    """Named tensors whose addresses stay the same from step to step.

    Args:
        is_active: False: values are passed on as they are, which saves a copy.
    """

    def __init__(self, *, is_active: bool) -> None:
        self._is_active = is_active
        self._held: dict[str, Any] = {}

    def hold(self, name: str, values: T) -> T:
        """Return values at the addresses of the first values of that name.

        Args:
            name: Of a tuple that always has the same structure and shapes.
            values: Nested tuples of tensors and Nones.
        """
        if not self._is_active:
            return values
        if name in self._held:
            _copy(self._held[name], values)
        else:
            self._held[name] = _cloned(values)
        return cast("T", self._held[name])


class Ramps:
    """Numbers that change from step to step, as float32 scalars at fixed addresses."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._values: dict[str, float] = {}
        self._tensors: dict[str, Tensor] = {}

    def tensor(self, name: str, value: float) -> Tensor:
        """Return the scalar of that name with this value; only a new value is written."""
        if name not in self._tensors:
            self._tensors[name] = torch.full((), value, device=self._device)
        elif self._values[name] != value:
            self._tensors[name].fill_(value)
        self._values[name] = value
        return self._tensors[name]


def _cloned(values: Any) -> Any:
    if isinstance(values, Tensor):
        return values.clone()
    if values is None:
        return None
    parts = [_cloned(value) for value in values]
    return type(values)(*parts) if hasattr(values, "_fields") else tuple(parts)


def _copy(held: Any, values: Any) -> None:
    if isinstance(held, Tensor):
        held.copy_(values)
    elif held is not None:
        for one, value in zip(held, values, strict=True):
            _copy(one, value)
