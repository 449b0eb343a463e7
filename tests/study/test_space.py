"""The grammar of a search space, its dimensions, and what the user reads when one is wrong."""

import copy
import math
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.errors import DistillTuneError, InputError, InputErrors
from distill_tune.interfaces import Config, plain
from distill_tune.study.space import (
    Choice,
    Dimension,
    LogRandInt,
    LogUniform,
    RandInt,
    Range,
    SearchSpace,
    Uniform,
    apply,
    parse_dimension,
)
from distill_tune.study.validation import parse, read_value, read_yaml, to_yaml


class Study(Config):
    space: SearchSpace = SearchSpace({})


def table(text: str) -> list[tuple[str, str]]:
    """Read pairs of an input and, indented below it, its message."""
    pairs: list[tuple[str, str]] = []
    for line in text.strip("\n").splitlines():
        if line.startswith(" "):
            given, message = pairs.pop()
            pairs.append((given, f"{message} {line.strip()}".strip()))
        else:
            pairs.append((line.replace(r"\n", "\n"), ""))
    return pairs


def load(text: str, tmp_path: Path, *assignments: str) -> SearchSpace:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    document = read_yaml(path)
    document.source = "s.yaml"
    for assignment in assignments:
        document.set(assignment)
    return parse(Study, document).space


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("uniform(0.05, 0.9)", Uniform(0.05, 0.9)),
        (" Uniform( 0,2 ) ", Uniform(0, 2)),
        ("loguniform(1e-6, 2e-4)", LogUniform(1e-6, 2e-4)),
        ("randint(1, 5)", RandInt(1, 5)),
        ("int(-5, 5)", RandInt(-5, 5)),
        ("lograndint(8, 64)", LogRandInt(8, 64)),
        ("choice(a, 'b, c', 1e-5, no, true)", Choice(("a", "b, c", 1e-5, "no", True))),
        ("[1, 2, 5]", Choice((1, 2, 5))),
        ("[a, null]", Choice(("a", None))),
        ("{type: uniform, min: 0, max: 1}", Uniform(0, 1)),
        ("{distribution: LogUniform, low: 1e-6, high: 2e-4}", LogUniform(1e-6, 2e-4)),
        ("{type: randint, lower: 1, upper: 5}", RandInt(1, 5)),
        ("{type: loguniform, min: 1e-6, max: 1, or_zero: 0.1}", LogUniform(1e-6, 1, or_zero=0.1)),
        ("{type: choice, values: [a, b]}", Choice(("a", "b"))),
        ("{type: choice, categories: [a, b]}", Choice(("a", "b"))),
    ],
)
def test_every_form_is_read(text: str, dimension: Dimension) -> None:
    assert parse_dimension("space.x", read_value(text)) == dimension


WRONG = r"""
loguniform(0, 1e-3)
    13: space.joint.lr: got 'loguniform(0, 1e-3)', expected min > 0, as a log scale has no zero;
    to search 0 as well, write {type: loguniform, min: 1e-06, max: 0.001, or_zero: 0.1}
loguniform(-6, -4)
    13: space.joint.lr: got 'loguniform(-6, -4)', expected min > 0; bounds are the values
    themselves, not exponents: 1e-06 rather than -6
{type: loguniform, low: -0.5, high: 1}
    37: space.joint.lr.low: got -0.5, expected min > 0; bounds are the values themselves, not
    exponents
lograndint(0, 8)
    13: space.joint.lr: got 'lograndint(0, 8)', expected min >= 1, as a log scale has no zero
    (randint has)
uniform(0.9, 0.1)
    13: space.joint.lr: got 'uniform(0.9, 0.1)', expected min below max
{type: uniform, min: 0.9, max: 0.1}
    34: space.joint.lr.min: got 0.9, expected min below max
uniform(1, 1.0)
    13: space.joint.lr: got 'uniform(1, 1.0)', expected max above min (write one fixed value under
    `trial:` instead)
uniform(low, 1)
    13: space.joint.lr: got 'uniform(low, 1)', expected a number as min
uniform(0, .nan)
    13: space.joint.lr: got 'uniform(0, .nan)', expected a finite number as max (at most
    1.79769e+308)
{type: uniform, min: 0, max: .inf}
    42: space.joint.lr.max: got .inf, expected a finite number as max (at most 1.79769e+308)
randint(1, 2.5)
    13: space.joint.lr: got 'randint(1, 2.5)', expected a whole number as max
{type: randint, min: true, max: 2}
    34: space.joint.lr.min: got true (a true/false value), expected a whole number as min
uniform(0)
    13: space.joint.lr: got 'uniform(0)', expected two bounds, uniform(min, max)
loguniform(1, 2, 0.1)
    13: space.joint.lr: got 'loguniform(1, 2, 0.1)', expected two bounds, loguniform(min, max);
    or_zero needs the form {type: ..., min: ..., max: ..., or_zero: ...}
unifrom(0, 1)
    13: space.joint.lr: got 'unifrom', expected one of uniform, loguniform, randint, lograndint,
    choice. Did you mean 'uniform'?
{type: gauss, min: 0, max: 1}
    20: space.joint.lr.type: got 'gauss', expected one of uniform, loguniform, randint, lograndint,
    choice
{type: null}
    20: space.joint.lr.type: got nothing (null), expected one of uniform, loguniform, randint,
    lograndint, choice
uniform
    13: space.joint.lr: got 'uniform', expected a range such as uniform(0.1, 0.5), or a list such
    as [a, b]
uniform(0, 1
    13: space.joint.lr: got 'uniform(0, 1', expected a closing ')'; inside {...} the text needs
    quotes
uniform([0, 1)
    13: space.joint.lr: got 'uniform([0, 1)', expected values in ( ), not a syntax error (while
    parsing a flow sequence at line 1, column 1, expected ',' or ']', but got '<stream end>')
0.3
    13: space.joint.lr: got 0.3 (a decimal number), expected a range such as uniform(0.1, 0.5), or
    a list such as [a, b] (write one fixed value under `trial:` instead)
[]
    13: space.joint.lr: got an empty list, expected two values or more
[a]
    13: space.joint.lr: got only a, expected two values or more (write one fixed value under
    `trial:` instead)
choice()
    13: space.joint.lr: got 'choice()', expected two values or more
[a, b, a]
    20: space.joint.lr.2: got 'a' (text), expected each value once, not a twice
{type: choice, values: [1, [2]]}
    40: space.joint.lr.values.1: got [2] (a list), expected text, finite numbers, true or false to
    choose from
{type: choice, values: a}
    36: space.joint.lr.values: got 'a' (text), expected a list
{type: uniform, mn: 0, max: 1}
    33: space.joint.lr.mn: got 'mn', expected one of the keys max, min, type. Did you mean 'min'?
{type: choice, values: [a, b], max: 1}
    49: space.joint.lr.max: got 'max', expected one of the keys type, values
{type: uniform, min: 0, low: 0, max: 1}
    42: space.joint.lr.low: got both min and low, expected one, as they mean min
{type: uniform, min: 0}
    13: space.joint.lr: got {'type': 'uniform', 'min': 0} (a mapping), expected max in it too
{min: 0, max: 1}
    13: space.joint.lr: got {'min': 0, 'max': 1} (a mapping), expected a type in it, as in {type:
    uniform, min: 0, max: 1}
{low: [1, 2]}
    13: space.joint.lr: got {'low': [1, 2]} (a mapping), expected a type in it, as in {type:
    uniform, min: 0, max: 1}
{decay: '[1, 2]'}
    13: space.joint.lr: got {'decay': '[1, 2]'} (a mapping), expected a range or a list (a path is
    one key with dots: joint.lr.decay)
{type: loguniform, min: 1, max: 2, or_zero: 1}
    57: space.joint.lr.or_zero: got 1, expected a probability above 0 and below 1, such as 0.1
{type: loguniform, min: 1e-6, max: 1, or_zero: 0.99}
    60: space.joint.lr.or_zero: got 0.99, expected a smaller probability for so wide a range
{type: uniform, min: 0, max: 1, or_zero: 0.1}
    54: space.joint.lr.or_zero: got 0.1, expected no or_zero here: only loguniform needs it
"""


@pytest.mark.parametrize(("text", "expected"), table(WRONG))
def test_a_wrong_dimension_is_named_with_its_place(
    text: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        load(f"space:\n  joint.lr: {text}\n", tmp_path)
    assert str(caught.value) == f"s.yaml:2:{expected}"


WRONG_SPACE = r"""
space: [1, 2]
    s.yaml:1:8: space: got [1, 2] (a list), expected a mapping
    (lines of 'joint.margin: uniform(0.1, 0.5)')
space: {a: uniform(0, 1)}
    s.yaml:1:12: space.a: got 'uniform(0', expected a closing ')'; inside {...} the text needs
    quotes
space:\n  a: [1, 2]\n  a.b: [1, 2]
    s.yaml:3:8: space.a.b: got a path below a, expected a or this, not both
space:\n  a..b: [1, 2]
    s.yaml:2:9: space.a..b: got 'a..b', expected a dotted path such as joint.margin
"""


@pytest.mark.parametrize(("text", "expected"), table(WRONG_SPACE))
def test_a_wrong_space_is_named(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(DistillTuneError) as caught:
        load(text, tmp_path)
    assert str(caught.value) == expected


def test_all_wrong_dimensions_come_at_once_also_those_set_by_hand(tmp_path: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        load("space:\n  a: 1\n  b: [1, 2]\n  c: []\n", tmp_path, "space.d.e=uniform(1)")
    places = [error.location for error in caught.value.errors]
    assert places == ["assignments space.d.e=uniform(1)", "s.yaml:2:6", "s.yaml:4:6"]


def test_a_space_may_be_empty(tmp_path: Path) -> None:
    assert load("space:\n", tmp_path) == load("space: {}\n", tmp_path) == SearchSpace({})


FLOATS = st.floats(-1e300, 1e300) | st.integers(-(2**40), 2**40)
POSITIVE = st.floats(1e-30, 1e30)
SCALARS = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none()


def ordered(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)


DIMENSIONS = st.one_of(
    ordered(FLOATS).map(lambda ends: Uniform(*ends)),
    ordered(POSITIVE).map(lambda ends: LogUniform(*ends)),
    st.builds(
        lambda ends, p: LogUniform(ends[0], ends[1], or_zero=p),
        ordered(POSITIVE),
        st.floats(1e-3, 0.6),
    ),
    ordered(st.integers(-(2**60), 2**60)).map(lambda ends: RandInt(*ends)),
    ordered(st.integers(1, 2**60)).map(lambda ends: LogRandInt(*ends)),
    st.lists(SCALARS, min_size=2, max_size=5, unique=True).map(lambda v: Choice(tuple(v))),
)
PATHS = st.from_regex(r"[a-z]{1,3}\.[a-z_0-9]{1,5}", fullmatch=True)


@given(st.dictionaries(PATHS, DIMENSIONS, max_size=4))
def test_a_space_reads_back_equal_from_plain_data_and_from_yaml(
    dimensions: dict[str, Dimension],
) -> None:
    space = SearchSpace(dimensions)
    assert SearchSpace.parse(space.plain()) == space
    read_back = SearchSpace.parse(read_value(to_yaml(plain(Study(space=space))))["space"])
    assert list(read_back.dimensions.items()) == list(dimensions.items())
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301 - our own bytes


@given(DIMENSIONS)
def test_probe_and_examples_lie_in_range_and_have_the_right_type(dimension: Dimension) -> None:
    for value in (dimension.probe(), *dimension.examples()):
        if isinstance(dimension, Choice):
            assert value in dimension.values
        else:
            assert isinstance(value, int if dimension.integer else float)
            assert dimension.min <= value <= dimension.max or value == 0 != dimension.or_zero


@given(st.floats(1e-8, 1e-3), st.floats(1.5, 1e4), st.floats(0.01, 0.6))
def test_zero_has_its_share_of_the_log_mass(low: float, factor: float, share: float) -> None:
    dimension = LogUniform(low, low * factor, or_zero=share)
    mass = math.log(dimension.min / dimension.low) / math.log(dimension.high / dimension.low)
    assert mass == pytest.approx(share, rel=1e-6)
    assert dimension.decode(dimension.low) == 0.0
    assert dimension.decode(math.nextafter(dimension.min, 0)) == 0.0
    assert dimension.decode(dimension.min) == dimension.min
    assert dimension.decode(dimension.high) == dimension.max


def test_drawing_gives_zero_as_often_as_said() -> None:
    dimension = LogUniform(1e-6, 2e-4, or_zero=0.25)
    draws = random.Random(0)  # noqa: S311 - no secret
    ends = math.log(dimension.low), math.log(dimension.high)
    values = [dimension.decode(math.exp(draws.uniform(*ends))) for _ in range(4000)]
    assert values.count(0.0) / 4000 == pytest.approx(0.25, abs=0.02)
    assert all(value == 0 or 1e-6 <= value <= 2.0000001e-4 for value in values)


def test_an_adapter_reads_plain_fields() -> None:
    fields = [
        (d.kind, d.low, d.high, d.log, d.integer, d.choices)
        for d in (Uniform(0, 2), LogRandInt(8, 64), Choice((1, 2)))
    ]
    assert fields == [
        ("uniform", 0.0, 2.0, False, False, ()),
        ("lograndint", 8, 64, True, True, ()),
        ("choice", None, None, False, False, (1, 2)),
    ]
    assert [type(value) for value in fields[0][1:3]] == [float, float]
    assert (RandInt(1, 5).decode(3.0), type(RandInt(1, 5).decode(3.0))) == (3, int)


def test_describe_is_the_short_form() -> None:
    dimensions: list[Range | Choice] = [
        Uniform(0.0, 2),
        LogUniform(1e-6, 2e-4, 0.1),
        RandInt(1, 5),
        Choice(("a", 1e-5, True, None)),
    ]
    assert [dimension.describe() for dimension in dimensions] == [
        "uniform(0, 2)",
        "loguniform(1e-06, 0.0002) or 0",
        "randint(1, 5)",
        "choice(a, 1e-05, true, null)",
    ]


def test_apply_sets_paths_in_a_copy() -> None:
    base = {"joint": {"margin": 0.3, "steps": (1, 2)}, "gan": None, "list": [{"a": 1}]}
    before = copy.deepcopy(base)
    config = apply(base, {"joint.margin": 0.5, "gan.lr": 0.0, "new.deep.x": "y", "list.0.a": 2})
    assert base == before
    assert config == {
        "joint": {"margin": 0.5, "steps": [1, 2]},
        "gan": {"lr": 0.0},
        "list": [{"a": 2}],
        "new": {"deep": {"x": "y"}},
    }


def test_apply_refuses_a_path_through_a_scalar() -> None:
    with pytest.raises(InputError) as caught:
        apply({"joint": {"margin": 0.3}}, {"joint.margin.low": 1})
    assert str(caught.value) == (
        "space.joint.margin.low: got a place below joint.margin, which is 0.3 (a decimal number), "
        "expected a mapping there"
    )
