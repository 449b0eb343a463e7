"""The field ``data.value_range``: what may stand there."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator

from distill_tune.datasets.value_range import BYTES, Range


def _check_range(value: object) -> object:
    if value in {"auto", "per_file"} if isinstance(value, str) else _is_pair(value):
        return value
    raise ValueError("expected auto, or [low, high]: two numbers, the first below the second")


def _is_pair(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in value):
        return False
    low, high = value
    return low < high and all(map(math.isfinite, (low, high, high - low, BYTES[1] / (high - low))))


ValueRange = Annotated[Literal["auto", "per_file"] | Range, BeforeValidator(_check_range)]
"""What ``data.value_range`` may be."""
