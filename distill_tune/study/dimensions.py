"""Dimensions: the values that one searched parameter may take."""

import math
import sys
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, Literal

from distill_tune.errors import InputError, Text
from distill_tune.study.validation import describe, scalar_text

RangeKind = Literal["uniform", "loguniform", "randint", "lograndint"]
Scalar = str | int | float | bool | None

FIXED: Final = "write one fixed value under `trial:` instead"


@dataclass(frozen=True)
class Range:
    """Numbers from ``min`` to ``max``, both included.

    Attributes:
        kind: ``uniform`` and ``loguniform`` give floats, ``randint`` and ``lograndint`` integers.
        min: The smallest value (the smallest above zero with ``or_zero``).
        max: The largest value.
        or_zero: For ``loguniform``: the prior probability of exactly 0, in (0, 1).

    Raises:
        InputError: The bounds do not form a range; ``where`` is the name of the field.
    """

    kind: RangeKind
    min: float
    max: float
    or_zero: float | None = None

    choices: ClassVar[tuple[Scalar, ...]] = ()

    def __post_init__(self) -> None:
        _check_bound(self, "min", self.min)
        _check_bound(self, "max", self.max)
        if self.log and self.min <= 0:
            raise InputError("min", got=self.min, expected=_why_not_log(self))
        if self.min == self.max:
            raise InputError("max", got=self.max, expected=f"max above min ({FIXED})")
        if self.min > self.max:
            raise InputError("min", got=self.min, expected="min below max")
        _check_or_zero(self)

    @property
    def log(self) -> bool:
        """Whether values are drawn on a log scale."""
        return self.kind.startswith("log")

    @property
    def integer(self) -> bool:
        """Whether the values are integers."""
        return self.kind.endswith("randint")

    @property
    def low(self) -> float:
        """Lower end of the draw; below ``min`` with ``or_zero``, by the log-mass of zero."""
        if self.or_zero is None:
            return self._number(self.min)
        return float(self.min * (self.min / self.max) ** (self.or_zero / (1 - self.or_zero)))

    @property
    def high(self) -> float:
        """Upper end of the draw."""
        return self._number(self.max)

    def decode(self, raw: float) -> float:
        """Return the value for a number drawn between ``low`` and ``high``."""
        return 0.0 if self.or_zero is not None and raw < self.min else self._number(raw)

    def holds(self, value: object) -> bool:
        """Return whether a decoded value lies in the range."""
        wanted = int if self.integer else int | float
        if isinstance(value, bool) or not isinstance(value, wanted):
            return False
        return self.min <= value <= self.max or (self.or_zero is not None and value == 0)

    def probe(self) -> float:
        """Return a middle value, used to check the path against the configuration."""
        if self.integer:
            low, high = int(self.min), int(self.max)
            return math.isqrt(low * high) if self.log else (low + high) // 2
        middle = (
            math.sqrt(self.min) * math.sqrt(self.max) if self.log else self.min / 2 + self.max / 2
        )
        return float(min(max(middle, self.min), self.max))

    def examples(self) -> list[float]:
        """Return the extreme values."""
        ends = [self._number(self.min), self._number(self.max)]
        return ends if self.or_zero is None else [*ends, 0.0]

    def describe(self) -> str:
        """Return the short form; with ``or_zero`` it ends in ``or 0``."""
        low, high = (scalar_text(end).removesuffix(".0") for end in (self.min, self.max))
        return f"{self.kind}({low}, {high})" + (" or 0" if self.or_zero is not None else "")

    def plain(self) -> object:
        """Return plain data for YAML, which ``space.parse_dimension`` reads back."""
        if self.or_zero is None:
            return self.describe()
        return {"type": self.kind, "min": self.min, "max": self.max, "or_zero": self.or_zero}

    def _number(self, value: float) -> float:
        return int(value) if self.integer else float(value)


Uniform = partial(Range, "uniform")
LogUniform = partial(Range, "loguniform")
RandInt = partial(Range, "randint")
LogRandInt = partial(Range, "lograndint")


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Raises:
        InputError: There are fewer than two values, a duplicate, or a value that is not plain.
    """

    values: tuple[Scalar, ...]

    kind: ClassVar[Literal["choice"]] = "choice"
    low: ClassVar[None] = None
    high: ClassVar[None] = None
    log: ClassVar[bool] = False
    integer: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for index, value in enumerate(self.values):
            finite = not isinstance(value, float) or math.isfinite(value)
            if not isinstance(value, Scalar) or not finite:
                expected = "text, finite numbers, true or false to choose from"
                raise InputError(f"values.{index}", got=describe(value), expected=expected)
            if value in self.values[:index]:
                expected = f"each value once, not {scalar_text(value)} twice"
                raise InputError(f"values.{index}", got=describe(value), expected=expected)
        if len(self.values) < 2:
            met, hint = Text("an empty list"), ""
            if self.values:
                met, hint = Text(f"only {scalar_text(self.values[0])}"), f" ({FIXED})"
            raise InputError("values", got=met, expected=f"two values or more{hint}")

    @property
    def choices(self) -> tuple[Scalar, ...]:
        """The values."""
        return self.values

    def decode(self, raw: Scalar) -> Scalar:
        """Return the value itself."""
        return raw

    def holds(self, value: object) -> bool:
        """Return whether a value is one of the choices."""
        # True == 1, but they are different choices.
        return any(value == one and type(value) is type(one) for one in self.values)

    def probe(self) -> Scalar:
        """Return the first value."""
        return self.values[0]

    def examples(self) -> list[Scalar]:
        """Return all the values."""
        return list(self.values)

    def describe(self) -> str:
        """Return the short form."""
        return f"choice({', '.join(scalar_text(value) for value in self.values)})"

    def plain(self) -> object:
        """Return plain data for YAML, which ``space.parse_dimension`` reads back."""
        return list(self.values)


Dimension = Range | Choice


def _check_bound(dimension: Range, name: str, value: object) -> None:
    wanted = int if dimension.integer else int | float
    if isinstance(value, bool) or not isinstance(value, wanted):
        sort = "a whole number" if dimension.integer else "a number"
        raise InputError(name, got=describe(value), expected=f"{sort} as {name}")
    most = sys.maxsize if dimension.integer else sys.float_info.max
    if not abs(value) <= most:
        expected = f"a finite number as {name} (at most {most:g})"
        raise InputError(name, got=Text(scalar_text(value)), expected=expected)


def _why_not_log(dimension: Range) -> str:
    low, high = dimension.min, dimension.max
    if dimension.integer:
        return "min >= 1, as a log scale has no zero (randint has)"
    if low == 0 < high:
        form = f"{{type: loguniform, min: {high / 1000:g}, max: {high:g}, or_zero: 0.1}}"
        return f"min > 0, as a log scale has no zero; to search 0 as well, write {form}"
    example = f": {10.0**low:g} rather than {low}" if -300 <= low == int(low) else ""
    return f"min > 0; bounds are the values themselves, not exponents{example}"


def _check_or_zero(dimension: Range) -> None:
    share = dimension.or_zero
    if share is None:
        return
    if dimension.kind != "loguniform":
        raise InputError("or_zero", got=share, expected="no or_zero here: only loguniform needs it")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        expected = "a probability above 0 and below 1, such as 0.1"
        raise InputError("or_zero", got=share, expected=expected)
    if dimension.low < sys.float_info.min:
        raise InputError("or_zero", got=share, expected="a smaller probability for so wide a range")
