"""Where values stand on an axis, and what is written beside it."""

import math

import pytest

from distill_tune.report.axes import Axis, axis_covering, axis_of, number
from distill_tune.study.space import Choice, LogUniform, RandInt, Uniform

LOG = axis_of("lr", LogUniform(1e-6, 1e-4))
OR_ZERO = axis_of("lr", LogUniform(1e-6, 1e-4, or_zero=0.1))


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (axis_of("margin", Uniform(0.0, 2.0)), 0.5, 0.25),
        (LOG, 1e-5, 0.5),
        (LOG, 0.0, None),
        (LOG, -1.0, None),
        (OR_ZERO, 0.0, 0.0),
        (OR_ZERO, 1e-6, 0.1),
        (OR_ZERO, 1e-4, 1.0),
        (axis_of("refresh", RandInt(1, 5)), 3, 0.5),
        (axis_of("kind", Choice(("a", "b"))), "b", 0.75),
        (axis_of("kind", Choice((True, False))), True, 0.25),
        (axis_of("kind", Choice(("a", "b"))), "c", None),
        (axis_of("margin", Uniform(0.0, 2.0)), 2.5, None),
        (axis_of("margin", Uniform(0.0, 2.0)), "0.5", None),
        (axis_of("margin", Uniform(0.0, 2.0)), True, None),
        (axis_of("margin", Uniform(0.0, 2.0)), math.nan, None),
        (axis_of("margin", Uniform(0.0, 2.0)), None, None),
    ],
)
def test_a_value_has_its_place(axis: Axis, value: object, place: float | None) -> None:
    found = axis.place(value)
    assert found is None if place is None else found == pytest.approx(place)


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis("x", 0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Axis("x", 0.932, 0.968), ["0.94", "0.95", "0.96"]),
        (Axis("x", 0.41, 0.59), ["0.45", "0.5", "0.55"]),
        (Axis("epoch", 0.9, 3.1, is_whole=True), ["1", "2", "3"]),
        (Axis("lr", 1e-6, 1e-4, is_log=True), ["1e-6", "3e-6", "1e-5", "3e-5", "1e-4"]),
        (Axis("lr", 1e-9, 1e-1, is_log=True), ["1e-9", "1e-7", "1e-5", "0.001", "0.1"]),
        (Axis("lr", 1e-5, 1e-4, is_log=True, has_zero=True), ["0", "1e-5", "2e-5", "5e-5", "1e-4"]),
        (Axis("n", 2.1, 2.9, is_log=True), ["2.1", "2.9"]),
        (Axis("kind", choices=("a", "a name without end")), ["a", "a name withou…"]),
    ],
)
def test_few_round_numbers_are_written(axis: Axis, texts: list[str]) -> None:
    assert [text for _, text in axis.ticks()] == texts
    assert all(0 <= place <= 1 for place, _ in axis.ticks())


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 0.7, 0.6],
        [0.5],
        [0.0, 0.0],
        [-3, 10**15],
        [1e300, -1e308, 5],
        [],
        ["a", 1, None],
        [True, False],
        [5e-324, 0.0],
    ],
)
def test_an_axis_covers_whatever_it_is_made_for(values: list[object]) -> None:
    axis = axis_covering("x", values)
    assert all(axis.place(value) is not None for value in values if value is not None)
    assert all(0 <= place <= 1 for place, _ in axis.ticks())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (2e-5, "2e-5"), (0.001234, "0.001234"), (1.25e-7, "1.25e-7"), (3.0, "3")],
)
def test_a_number_is_short(value: float, text: str) -> None:
    assert number(value) == text
