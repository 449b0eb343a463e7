"""The value range of a data set: the values of black and white in all of its images."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.image_pool import Bytes
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges

Range = tuple[float, float]
Kind = Literal["eight_bit", "integers", "floats"]
KINDS: tuple[Kind, ...] = get_args(Kind)
UNIT: Range = (0.0, 1.0)
BYTES: Range = (0.0, 255.0)
WHITES = (1, 255, 1023, 4095, 16383, 65535)
"""Recognised values of white: of fractions, and of 8, 10, 12, 14 and 16 bits."""
ABOUT = 1.1
"""Factor by which fractions may exceed white, because a resize produces such values."""
LEAST_FRACTIONS = 16
"""Fractions above 1 with a maximum below this are refused: as 0..255 they would be nearly black."""
MAX_BEYOND = 0.1
"""Largest share of an image's values that may lie beyond a detected range."""
CHUNK = 1024

_NOT_FINITE = "values that are infinite or not numbers (NaN)"

PER_FILE = ValueRanges()
"""Every file scaled by its own values, without a common range."""
EIGHT_BIT = ValueRanges(eight_bit=BYTES)
"""Ranges of data that has only 8 bits for each channel."""


class Extremes(NamedTuple):
    """The extremes of the values of some images.

    Attributes:
        low: Least value.
        high: Greatest value.
        has_fractions: Whether some values lie between integers.
    """

    low: float
    high: float
    has_fractions: bool = False

    def merged(self, other: "Extremes") -> "Extremes":
        """Return the extremes of both."""
        has_fractions = self.has_fractions or other.has_fractions
        return Extremes(min(self.low, other.low), max(self.high, other.high), has_fractions)

    @property
    def words(self) -> str:
        """The range, as shown in messages."""
        return f"values in {self.low:g}..{self.high:g}"


def kind_of(dtype: "np.dtype[Any]") -> Kind:
    """Return the value type of a numeric array."""
    if dtype == np.uint8 or dtype.kind == "b":
        return "eight_bit"
    return "floats" if dtype.kind == "f" else "integers"


def extremes_of(values: NDArray[Any]) -> Extremes:
    """Return the extremes of a non-empty array; NaN if it contains one."""
    is_float = values.dtype.kind == "f"
    with np.errstate(invalid="ignore"):
        has_fractions = is_float and bool((values != np.trunc(values)).any())
    return Extremes(float(values.min()), float(values.max()), has_fractions)


def given_ranges(pair: Range) -> ValueRanges:
    """Return the ranges for a pair that a user gives.

    8-bit files keep 0..255 unless the pair lies within it.
    """
    low, high = pair
    eight_bit = pair if low >= 0 and high <= BYTES[1] else BYTES
    return ValueRanges(eight_bit=eight_bit, integers=pair, floats=pair, is_given=True)


def found_ranges(kinds: Mapping[Kind, Mapping[str, Extremes]]) -> ValueRanges:
    """Return one range for each value type, from the extremes of all parts together.

    Args:
        kinds: For each value type, the extremes of each part by its display name.

    Raises:
        InputError: The range is ambiguous or not recognised.
    """
    pairs = {kind: _found(parts) for kind, parts in kinds.items() if parts}
    return ValueRanges(
        eight_bit=pairs.get("eight_bit"),
        integers=pairs.get("integers"),
        floats=pairs.get("floats"),
    )


def _found(parts: Mapping[str, Extremes]) -> Range:
    whole = _merged(parts.values())
    name = " and ".join(parts)
    if not (math.isfinite(whole.low) and math.isfinite(whole.high)):
        raise _not_finite(name)
    if not _is_usable(whole):
        raise _refusal(
            f"{name} with {whole.words}",
            "values from 0 up to 1, 255, 1023, 4095, 16383 or 65535; for others give [LOW, HIGH], "
            "the values of black and white",
        )
    if whole.has_fractions and ABOUT < whole.high < LEAST_FRACTIONS:
        raise _refusal(
            f"{name} with {whole.words} and fractions",
            "values up to about 1, or up to 255; these could be either: [0, 1] clips what is above "
            f"1, [0, {math.ceil(whole.high)}] scales them all",
        )
    small = [part for part, one in parts.items() if 0 < one.high <= ABOUT]
    if small and whole.high > ABOUT:
        large = next(part for part, one in parts.items() if one.high == whole.high)
        raise _refusal(
            f"{small[0]} with {parts[small[0]].words}, but {large} with {parts[large].words}",
            f"one scale in all parts; if they share it, give [0, {_white(whole):g}]",
        )
    return 0.0, float(_white(whole))


def _merged(several: Iterable[Extremes]) -> Extremes:
    first, *others = several
    for other in others:
        first = first.merged(other)
    return first


def _is_usable(one: Extremes) -> bool:
    """Return whether values fit a recognised range, apart from overshoot of a resize."""
    slack = (ABOUT - 1) * min(1.0, one.high) if one.has_fractions else 0.0
    return one.low >= -slack and one.high <= WHITES[-1] + 1


def _white(one: Extremes) -> int:
    """Return the least white for values: fractions may exceed it by a tenth, others by 1."""
    if one.has_fractions:
        return next((white for white in WHITES if one.high <= white * ABOUT), WHITES[-1])
    # A maximum of 256, 4096 and so on is due to rounding; one of 2 may not be.
    return next(white for white in WHITES if one.high <= white + (white > 1))


def _not_finite(name: str) -> InputError:
    """Return the error for values that no range can help."""
    return InputError("data.root", got=Text(f"{name} with {_NOT_FINITE}"), expected="finite values")


def _refusal(got: str, expected: str) -> InputError:
    return InputError("data.value_range", got=Text(got), expected=expected)


def usable(values: NDArray[Any]) -> Extremes | None:
    """Return the extremes of one file's values; None if they fit no recognised range."""
    one = extremes_of(values)
    return one if _is_usable(one) else None


def misfit(values: NDArray[Any], pair: Range) -> str:
    """Return why values do not fit a range detected for others; empty if they do."""
    one = extremes_of(values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)  # float16 could not hold the bounds.
    if not _is_usable(one._replace(high=min(one.high, WHITES[-1]))):
        return f"{one.words}, where others begin at 0 (data.value_range says what is black)"
    beyond = float((values > pair[0] + ABOUT * (pair[1] - pair[0])).mean())
    if beyond > MAX_BEYOND:
        return f"{one.words}, {beyond:.0%} of them beyond the range {range_words(pair)}"
    return ""


def levels(values: NDArray[Any], pair: Range, precision: type = np.float64) -> Bytes:
    """Return values as uint8, the range mapped to 0..255 and clipped.

    Args:
        values: ``[n, ...]`` of any type of numbers.
        pair: Values that become 0 and 255.
        precision: Type of the computation.
    """
    if values.dtype == np.uint8 and pair == BYTES:
        return values
    low, high = pair
    scaled = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), CHUNK):
        some = (values[start : start + CHUNK].astype(precision) - low) * (255 / (high - low))
        scaled[start : start + CHUNK] = np.round(some).clip(0, 255).astype(np.uint8)
    return scaled


def array_levels(images: NDArray[Any], pair: Range, name: str, *, is_given: bool) -> Bytes:
    """Return an array of images as uint8, a range mapped to 0..255.

    Args:
        images: ``[n, ...]``, n > 0.
        pair: Values that become 0 and 255.
        name: Name of the array, for messages.
        is_given: Whether the user gave the range; values beyond it are then clipped.

    Raises:
        InputError: The values are not finite, or do not fit a range detected for others.
    """
    one = extremes_of(images)
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        raise _not_finite(name)
    reason = ""
    if not is_given:
        reason = misfit(images, pair)
        if 0 < one.high <= ABOUT < pair[1]:
            reason = f"{one.words}, the range of the data is {range_words(pair)}"
    if reason:
        raise _refusal(f"{name} with {reason}", "values of one range in all parts")
    # float32, used before there were other ranges, keeps these images equal bit for bit.
    is_usual = pair in (UNIT, BYTES)
    return levels(images, pair, np.float32 if is_usual else np.float64)


def range_words(pair: Range) -> str:
    """Return a range as shown in messages."""
    return f"{pair[0]:g}..{pair[1]:g}"


_WORDS: dict[Kind, str] = {
    "eight_bit": "8 bits",
    "integers": "integers of more than 8 bits",
    "floats": "floating-point numbers",
}


def range_line(ranges: ValueRanges) -> str:
    """Return a line that reports the range; empty for 0..255 in 8 bits and for ranges per file."""
    if ranges in (PER_FILE, EIGHT_BIT):
        return ""
    how = "given" if ranges.is_given else "found"
    if ranges.is_given and ranges.integers is not None:
        # One pair for all value types.
        kept = "" if ranges.eight_bit != BYTES or ranges.integers == BYTES else "; 8 bits stay"
        words = range_words(ranges.integers)
        return f"values: {words} become 0..255 (data.value_range, given{kept})"
    pairs = {kind: pair for kind in _WORDS if (pair := getattr(ranges, kind)) is not None}
    text = ", ".join(f"{range_words(pair)} ({_WORDS[kind]})" for kind, pair in pairs.items())
    return (
        f"values: {text} become 0..255 in every image (data.value_range, {how} for the whole set)"
    )
