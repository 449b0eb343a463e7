"""The type of ``data.train_per_class``: one number, one for each class, or a long tail."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, TypeGuard, get_args

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from distill_tune.errors import InputError, Text, abridged, closest
from distill_tune.interfaces import Config

MIN_TRAIN = 2
"""Least training images of a class, because training compares pairs of one class."""

WHERE = "data.train_per_class"
_FORMS = (
    f"a whole number >= {MIN_TRAIN}, one for each class such as {{cat: 100, dog: 10}}, or a long "
    "tail such as {head: 100, tail: 10, shape: exponential}"
)
_SHOWN = 8

Shape = Literal["exponential", "linear"]
_SHAPES: tuple[str, ...] = get_args(Shape)


class LongTail(Config):
    """Numbers of training images that fall from the most frequent class to the rarest one.

    Classes are ranked by the number of images that the source has of them; classes with equally
    many keep the order of their names.
    """

    head: int = Field(ge=MIN_TRAIN)
    """Training images of the most frequent class."""
    tail: int = Field(ge=MIN_TRAIN)
    """Training images of the rarest class; at most ``head``."""
    shape: Shape
    """``exponential``: every class has the same fraction of the images of the class before it;
    ``linear``: the same number fewer."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.tail > self.head:
            expected = f"at most head, which is {self.head}"
            raise ValueError(InputError("tail", got=self.tail, expected=expected))
        return self

    def of(self, available: Sequence[int]) -> list[int]:
        """Return the number of training images of each class.

        Args:
            available: Number of images that the source has of each class.
        """
        shares = np.linspace(0, 1, len(available))
        numbers = self.head + shares * (self.tail - self.head)
        if self.shape == "exponential":
            numbers = self.head * (self.tail / self.head) ** shares
        counts = np.zeros(len(available), dtype=np.int64)
        counts[np.argsort([-count for count in available], kind="stable")] = np.round(numbers)
        return [int(count) for count in counts]


def _check(value: object) -> object:
    """Return the value with a long tail as such, or say which part of it is wrong."""
    if value is None or isinstance(value, LongTail):
        return value
    if isinstance(value, Mapping):
        return _long_tail(value) if "shape" in value else _of_classes(value)
    if not _is_number(value) or value < MIN_TRAIN:
        raise ValueError(f"expected {_FORMS}")
    return value


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _long_tail(value: Mapping[str, object]) -> LongTail:
    keys = tuple(LongTail.model_fields)
    for key in value:
        if key not in keys:
            expected = f"one of the keys {', '.join(keys)} of a long tail"
            raise ValueError(InputError(key, got=key, expected=expected, choices=keys))
    try:
        return LongTail.model_validate(dict(value))
    except ValidationError as failure:
        raise ValueError(_told(failure.errors()[0], value)) from None


def _told(error: ErrorDetails, value: Mapping[str, object]) -> InputError:
    """Return pydantic's error about a long tail in our words."""
    cause = error.get("ctx", {}).get("error")
    if cause is not None and isinstance(cause.args[0], InputError):
        own: InputError = cause.args[0]
        return own
    field = str(error["loc"][0])
    expected, choices = f"a whole number >= {MIN_TRAIN}", tuple[str, ...]()
    if field == "shape":
        expected, choices = " or ".join(_SHAPES), _SHAPES
    return InputError(
        field, got=value.get(field, Text("nothing")), expected=expected, choices=choices
    )


def _of_classes(value: Mapping[str, object]) -> Mapping[str, object]:
    for name, count in value.items():
        if not _is_number(count) or count < MIN_TRAIN:
            expected = f"a whole number >= {MIN_TRAIN}"
            raise ValueError(InputError(str(name), got=count, expected=expected))
    if not value:
        raise ValueError(f"expected {_FORMS}")
    return dict(value)


TrainCounts = Annotated[int | LongTail | dict[str, int] | None, BeforeValidator(_check)]
"""Type of ``data.train_per_class``."""


def counts_of(
    wanted: int | LongTail | Mapping[str, int] | None,
    classes: Sequence[str],
    available: Sequence[int],
) -> list[int] | None:
    """Return the number of training images of each class; None: all that are left.

    Args:
        wanted: Value of ``data.train_per_class``.
        classes: Names of the classes.
        available: Number of images that the source has of each class.

    Raises:
        InputError: A mapping leaves out a class, or names one that the data do not have.
    """
    if wanted is None:
        return None
    if isinstance(wanted, int):
        return [wanted] * len(classes)
    if isinstance(wanted, LongTail):
        return wanted.of(available)
    _require_classes(wanted, classes)
    return [wanted[name] for name in classes]


def _require_classes(wanted: Mapping[str, int], classes: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in classes]
    missing = [name for name in classes if name not in wanted]
    if not unknown and not missing:
        return
    listed = abridged([repr(name) for name in classes], _SHOWN)
    hint = ""
    if {"head", "tail"} == set(unknown):
        hint = "; a long tail needs a shape too: exponential or linear"
    near = closest(unknown[0], classes) if unknown and not hint else None
    hint += f". Did you mean {near!r}?" if near else ""
    met = "numbers for unknown classes" if unknown else "no number for classes"
    names = abridged([repr(name) for name in unknown or missing], _SHOWN)
    expected = f"one for each class of the data, {listed}{hint}"
    raise InputError(WHERE, got=Text(f"{met}: {names}"), expected=expected)
