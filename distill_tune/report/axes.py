"""Axes: the place of a value on a line from 0 to 1, and the ticks beside the line."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from distill_tune.study.space import Choice, Dimension

_ZERO_SHARE = 0.1
_MARGIN = 0.04
_LONGEST = 14


class Axis(NamedTuple):
    """Axis of a drawing.

    Attributes:
        title: What the values are.
        low: Number at the start.
        high: Number at the end.
        is_log: Whether equal factors take equal space.
        has_zero: Whether 0 stands at the start, next to a log scale that does not contain it.
        is_whole: Whether ticks are whole numbers only.
        choices: Names instead of numbers.
    """

    title: str
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    has_zero: bool = False
    is_whole: bool = False
    choices: tuple[str, ...] = ()

    def place(self, value: object) -> float | None:
        """Return the place of a value, in [0, 1]; None if it has none on this axis."""
        if self.choices:
            name = str(value)
            return _middle(self.choices.index(name), self) if name in self.choices else None
        found = real(value)
        return None if found is None else self._place(found)

    def _place(self, value: float) -> float | None:
        if self.has_zero and value == 0:
            return 0.0
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:
            return None
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = min(1.0, max(0.0, (self._scaled(value) - low) / (high - low)))
        return _ZERO_SHARE + (1 - _ZERO_SHARE) * share if self.has_zero else share

    def _scaled(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.is_log else value

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return places and their labels: round numbers, or the choices."""
        if self.choices:
            return [(_middle(i, self), _cut(name)) for i, name in enumerate(self.choices)]
        values = self._log_ticks(most) if self.is_log else self._linear_ticks(most)
        zero = [0.0] if self.has_zero else []
        found = [(self._place(value), number(value)) for value in [*zero, *values]]
        return [(place, text) for place, text in found if place is not None]

    def ends(self) -> tuple[str, str]:
        """Return the labels at the start and at the end."""
        if self.choices:
            return _cut(self.choices[0]), _cut(self.choices[-1])
        return "0" if self.has_zero else number(self.low), number(self.high)

    def _linear_ticks(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        steps = [power * factor for factor in (10, 5, 2, 1) if power * factor >= rough * 0.999]
        found: list[float] = []
        for finer in (1, 2.5, 5):
            step = steps[-1] / finer
            step = max(1.0, round(step)) if self.is_whole else step
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            found = [float(f"{index * step:.12g}") for index in range(first, last + 1)]
            if len(found) > 1:
                break
        return found

    def _log_ticks(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        powers = range(first, last + 1)
        found: list[float] = []
        for factors in ((1, 2, 5), (1, 3), (1,)):
            values = [float(f"{factor}e{power}") for power in powers for factor in factors]
            slack = 1 + 1e-9
            found = [v for v in values if self.low <= v * slack and v <= self.high * slack]
            if len(found) <= most:
                break
        found = found[:: max(1, math.ceil(len(found) / most))]
        return found if len(found) > 1 else [self.low, self.high]


def axis_of(title: str, dimension: Dimension) -> Axis:
    """Return the axis of a searched dimension."""
    if isinstance(dimension, Choice):
        return Axis(title, choices=tuple(str(value) for value in dimension.values))
    has_zero = dimension.or_zero is not None
    low, high = float(dimension.min), float(dimension.max)
    return Axis(title, low, high, dimension.log, has_zero, dimension.integer)


def axis_covering(title: str, values: Iterable[object], *, is_whole: bool = False) -> Axis:
    """Return an axis with a place for every value; names if not all values are numbers."""
    found = [value for value in values if value is not None]
    numbers = [one for value in found if (one := real(value)) is not None]
    if len(numbers) < len(found):
        return Axis(title, choices=tuple(dict.fromkeys(str(value) for value in found)))
    return Axis(title, *_around([v for v in numbers if math.isfinite(v)]), is_whole=is_whole)


def _around(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or 0.05 * max(abs(low), 0.1)
    low, high = low - margin, high + margin
    # Only a damaged log has numbers so large that their difference overflows.
    return (low, high) if math.isfinite(high - low) else (-1e300, 1e300)


def real(value: object) -> float | None:
    """Return a value as a float; None if it is not a number or too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def number(value: float) -> str:
    """Return a number with few digits, such as ``0.25`` or ``2e-5``."""
    text = f"{value:.3e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def _middle(index: int, axis: Axis) -> float:
    return (index + 0.5) / len(axis.choices)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
