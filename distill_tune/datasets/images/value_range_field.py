"""The type of the field ``data.value_range``."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator

from distill_tune.datasets.images.value_range import BYTES, Range


def _check_range(value: object) -> object:
    if isinstance(value, str) and value in {"auto", "per_file"}:
        return value
    # In plain data such as YAML, a pair is a list.
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    if len(pair) == 2 and all(map(_is_number, pair)) and _can_be_scaled(*map(float, pair)):
        return float(pair[0]), float(pair[1])
    raise ValueError("expected auto, or [low, high]: two numbers, the first below the second")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _can_be_scaled(low: float, high: float) -> bool:
    return low < high and math.isfinite(high - low) and math.isfinite(BYTES[1] / (high - low))


ValueRange = Annotated[Literal["auto", "per_file"] | Range, BeforeValidator(_check_range)]
"""Type of ``data.value_range``."""
