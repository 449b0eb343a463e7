"""YAML in, checked objects out, and what the user reads when something is wrong."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from distill_tune.errors import DistillTuneError, InputError, InputErrors
from distill_tune.interfaces import Config
from distill_tune.study.validation import (
    Document,
    locate_error,
    parse,
    read_value,
    read_yaml,
    to_yaml,
)


class Digits(Config):
    kind: Literal["digits"]
    train_per_class: int = Field(20, gt=0)
    seed: int = 0
    noise: float = 0.0


class Folder(Config):
    kind: Literal["folder"]
    root: Path
    """A folder with one folder per class. Nothing is written there."""
    train_per_class: int = 20
    seed: int = 0

    @field_validator("root")
    @classmethod
    def _check(cls, root: Path) -> Path:
        if root.name == "gone":
            raise InputError("root", got=str(root), expected="a folder that exists")
        return root


class Search(Config):
    num_trials: int = Field(16, ge=1)
    mode: Literal["max", "min"] = "max"
    min_epochs: int = 1
    max_epochs: int = 8
    verbose: bool = False
    rate: float = Field(0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "Search":
        if self.min_epochs > self.max_epochs:
            wrong = InputError("min_epochs", got=self.min_epochs, expected="at most max_epochs")
            raise ValueError(wrong)
        if self.max_epochs == 13:
            raise ValueError("expected luck")
        return self


class Study(Config):
    study: str = Field("x", min_length=1)
    data: Annotated[Digits | Folder, Field(discriminator="kind")] = Digits(kind="digits")
    search: Search = Search()
    backbones: tuple[str, ...] = Field(("a",), min_length=1)
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    crops: tuple[tuple[int, int], ...] = ()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes, *assignments: str) -> Document:
    Path("s.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    document = read_yaml("s.yaml")
    for assignment in assignments:
        document.set(assignment)
    return document


def message(text: str | bytes, *assignments: str) -> str:
    with pytest.raises(DistillTuneError) as caught:
        parse(Study, read(text, *assignments))
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, text) for text in ("no", "off", "yes", "on", "y", "12:30", "0x10", "0o7", "1_0")],
        *[(text, text) for text in ("2020-01-01", "inf", "nan", "1e", ".", "e5", "1.2.3", "--1")],
        *[("true", True), ("True", True), ("false", False), ("FALSE", False)],
        *[("", None), ("~", None), ("null", None), ("010", 10), ("-3", -3), ("+4", 4)],
        *[("1e-5", 1e-5), ("1E5", 1e5), (".5", 0.5), ("-1e-3", -1e-3), ("2.", 2.0)],
        *[(".inf", math.inf), ("-.inf", -math.inf), ("'1'", "1"), ('"true"', "true")],
    ],
)
def test_scalars_read_as_people_mean_them(text: str, value: object) -> None:
    read_back = read_value(text)
    assert read_back == value
    assert type(read_back) is type(value)


def table(text: str) -> list[tuple[str, str]]:
    """Read pairs of an input (with \\n for a new line) and, indented below it, its message."""
    pairs: list[tuple[str, str]] = []
    for line in text.strip("\n").splitlines():
        if line.startswith(" "):
            given, message = pairs.pop()
            pairs.append((given, f"{message} {line.strip()}".strip()))
        else:
            pairs.append((line.replace(r"\n", "\n").replace(r"\t", "\t").replace(r"\a", "\a"), ""))
    return pairs


BAD_YAML = r"""
- 1
    1:1: top level: got [1] (a list), expected a mapping (lines of 'key: value')
study:x
    1:1: top level: got 'study:x' (text), expected a mapping (lines of 'key: value')
a: b: c
    1:5: YAML: got a syntax error (mapping values are not allowed here), expected valid YAML
a:\n\tb: 1
    2:1: YAML: got a syntax error (while scanning for the next token, found character '\t' that
    cannot start any token), expected valid YAML
a: *b
    1:4: YAML: got a syntax error (found undefined alias 'b'), expected valid YAML
a: [1, 2\nb: 1
    2:2: YAML: got a syntax error (while parsing a flow sequence at line 1, column 4, expected ','
    or ']', but got ':'), expected valid YAML
a: 'b\nc: 1
    2:5: YAML: got a syntax error (while scanning a quoted scalar at line 1, column 4, found
    unexpected end of stream), expected valid YAML
a: 1\nb
    2:2: YAML: got a syntax error (while scanning a simple key at line 2, column 1, could not find
    expected ':'), expected valid YAML
a:\n   b: 1\n  c: 2
    3:3: YAML: got a syntax error (while parsing a block mapping at line 1, column 1, expected
    <block end>, but found '<block mapping start>'), expected valid YAML
a: "\q"
    1:6: YAML: got a syntax error (while scanning a double-quoted scalar at line 1, column 4, found
    unknown escape character 'q'), expected valid YAML
a: !!int 1
    1:4: a: got the tag 'tag:yaml.org,2002:int', expected a value without one
[a]: 1
    1:1: top level: got a key that is a list or a mapping, expected text
a: x\ay
    1:5: YAML: got the control character 0x07, expected text
search:\n  mode: max\n  mode: min
    3:3: search.mode: got this key a second time, expected it once
    (the first is at line 2, column 3)
"""


@pytest.mark.parametrize(("text", "expected"), table(BAD_YAML))
def test_a_file_that_is_no_mapping_in_yaml_is_named(text: str, expected: str) -> None:
    assert message(text) == f"s.yaml:{expected}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "s.yaml: got an empty file, expected a mapping (lines of 'key: value')"),
        (b"#a", "s.yaml: got nothing but comments, expected a mapping (lines of 'key: value')"),
        (b"a: \0\1", "file: got 's.yaml' (binary), expected text in UTF-8"),
        (
            b"a: \xc3\xbc\nb: \xe9",
            "s.yaml:2:4: file: got the byte 0xe9, which is not UTF-8, expected text in UTF-8",
        ),
        (b"a: &x [*x]", "s.yaml: YAML: got values nested without end, or an alias (*) of an"),
        (b"[" * 2000, "s.yaml: YAML: got values nested without end, or an alias (*) of an"),
    ],
)
def test_a_file_without_readable_text_is_named(data: bytes, expected: str) -> None:
    assert message(data).startswith(expected)


def test_a_file_that_cannot_be_read_is_named_with_a_near_one() -> None:
    Path("spaces").mkdir()
    Path("spaces/resnet.yaml").touch()
    errors = []
    for path in ("spaces/resnt.yaml", "spaces", "nowhere/x", "spaces/resnet.yaml/x"):
        with pytest.raises(InputError) as caught:
            read_yaml(path)
        errors.append(str(caught.value))
    assert errors == [
        (
            "file: got 'spaces/resnt.yaml', expected a file that exists. "
            "Did you mean 'spaces/resnet.yaml'?"
        ),
        "file: got the folder 'spaces', expected a file",
        "file: got 'nowhere/x', expected a file that exists",
        "file: got 'spaces/resnet.yaml/x' (Not a directory), expected a file that can be read",
    ]


WRONG = r"""
search:\n  num_trails: 8
    2:3: search: got 'num_trails', expected one of the keys max_epochs, min_epochs, mode,
    num_trials, rate, verbose. Did you mean 'num_trials'?
study: a\nserch: {}
    2:1: top level: got 'serch', expected one of the keys backbones, crops, data, gpus, search,
    study. Did you mean 'search'?
data: {kind: digits, root: x}
    1:22: data: got 'root', expected one of the keys kind, noise, seed, train_per_class
data:\n  kind: folder
    2:3: data.root: got nothing, expected this key (A folder with one folder per class)
data: {kind: digts}
    1:14: data.kind: got 'digts', expected one of digits, folder. Did you mean 'digits'?
data: {seed: 1}
    1:7: data.kind: got nothing, expected one of digits, folder
data: digits
    1:7: data: got 'digits' (text), expected a mapping, such as {kind: digits}
data: {kind: folder, root: gone}
    1:28: data.root: got 'gone', expected a folder that exists
search: 3
    1:9: search: got 3 (a whole number), expected a mapping (lines of 'key: value')
search: {num_trials: abc}
    1:22: search.num_trials: got 'abc' (text), expected a whole number
search: {num_trials: 2.5}
    1:22: search.num_trials: got 2.5 (a decimal number), expected a whole number
search: {num_trials: true}
    1:22: search.num_trials: got true (a true/false value), expected a whole number
search: {num_trials: 0}
    1:22: search.num_trials: got 0, expected a number >= 1
search: {rate: x}
    1:16: search.rate: got 'x' (text), expected a number
search: {rate: 0}
    1:16: search.rate: got 0, expected a number > 0
search: {rate: 1.5}
    1:16: search.rate: got 1.5, expected a number < 1
search: {rate: .nan}
    1:16: search.rate: got .nan, expected a finite number
search: {verbose: no}
    1:19: search.verbose: got 'no' (text), expected true or false
search: {mode: mx}
    1:16: search.mode: got 'mx', expected one of max, min. Did you mean 'max'?
search:\n  min_epochs: 9
    2:15: search.min_epochs: got 9, expected at most max_epochs
search: {max_epochs: 13}
    1:9: search: got {'max_epochs': 13} (a mapping), expected luck
study: 5
    1:8: study: got 5 (a whole number), expected text
study:
    1:7: study: got nothing (null), expected text
study: ''
    1:8: study: got '', expected text of at least 1 characters
backbones: []
    1:12: backbones: got [] (a list), expected a list of at least 1
backbones: resnet
    1:12: backbones: got 'resnet' (text), expected a list, such as [resnet]
backbones: [2]
    1:13: backbones.0: got 2 (a whole number), expected text
backbones:\n- a\n- 2
    3:3: backbones.1: got 2 (a whole number), expected text
crops: [[1, 2], [3]]
    1:17: crops.1.1: got nothing, expected a list of at least 2
gpus: atuo
    1:7: gpus: got 'atuo', expected a number or 'auto'. Did you mean 'auto'?
gpus: -1
    1:7: gpus: got -1, expected a number >= 0 or 'auto'
"""


@pytest.mark.parametrize(("text", "expected"), table(WRONG))
def test_a_wrong_value_is_named_with_its_place(text: str, expected: str) -> None:
    assert message(text) == f"s.yaml:{expected}"


def test_a_kind_told_by_a_function_is_named_by_its_key() -> None:
    def kind(raw: Any) -> object:
        return raw.get("kind", "digits")

    class Spare(Config):
        data: Annotated[
            Annotated[Digits, Tag("digits")] | Annotated[Folder, Tag("folder")],
            Discriminator(kind),
        ]

    with pytest.raises(InputError) as caught:
        parse(Spare, read("data: {seed: 1, kind: foldr}"))
    assert str(caught.value) == (
        "s.yaml:1:23: data.kind: got 'foldr', expected one of digits, folder. "
        "Did you mean 'folder'?"
    )


def test_all_errors_come_at_once_in_the_order_of_the_file() -> None:
    document = read("search: {mode: up}\nstudy: 1\nbackbones: 3\n")
    with pytest.raises(InputErrors) as caught:
        parse(Study, document)
    assert [error.where for error in caught.value.errors] == ["search.mode", "study", "backbones"]
    assert len(str(caught.value).splitlines()) == 3


def test_yaml_fits_a_strict_model() -> None:
    document = read("data: {kind: folder, root: some/where}\nsearch: {rate: 1e-5}\n"
                    "backbones: [a, b]\ncrops: [[1, 2], [3, 4]]\ngpus: 1\n")  # fmt: skip
    study = parse(Study, document)
    assert study.data == Folder(kind="folder", root=Path("some/where"))
    assert study.search.rate == 1e-5
    assert (study.backbones, study.crops) == (("a", "b"), ((1, 2), (3, 4)))
    assert isinstance(study.gpus, float)
    assert document.value["backbones"] == ["a", "b"]


SPACE_FILE = (
    "data: {kind: digits, seed: 3, noise: 0.5}\nbackbones:\n- {kind: a}\nspace:\n  a.b: [1]\n"
)


def test_set_replaces_adds_and_reaches_into_lists_and_dotted_keys() -> None:
    document = read(SPACE_FILE, "data.seed=1e-3", "search.num_trials=8", "backbones.0.stem=small",
                    "space.a.b=uniform(0.1,0.5)", "space.c.d.e=[1, no]", "study=a=b")  # fmt: skip
    assert document.value == {
        "data": {"kind": "digits", "seed": 1e-3, "noise": 0.5},
        "search": {"num_trials": 8},
        "backbones": [{"kind": "a", "stem": "small"}],
        "space": {"a.b": "uniform(0.1,0.5)", "c.d.e": [1, "no"]},
        "study": "a=b",
    }
    assert document.locate(("space", "a.b")) == "assignments space.a.b=uniform(0.1,0.5)"
    assert document.locate(("backbones", 0, "stem", "x")) == "assignments backbones.0.stem=small"
    assert document.locate(("data", "noise")) == "s.yaml:1:38"


def test_a_new_kind_keeps_what_it_knows_and_drops_the_rest_of_the_file() -> None:
    study = parse(Study, read("data: {kind: digits, seed: 3, noise: 0.5}",
                              "data.kind=folder", "data.root=DIR"))  # fmt: skip
    assert study.data == Folder(kind="folder", root=Path("DIR"), seed=3)


WRONG_SET = r"""
data.kind=digits
    s.yaml:1:31: data: got 'other', expected one of the keys kind, noise, seed, train_per_class
data.kind=folder data.root=x data.noise=1
    assignments data.noise=1: data: got 'noise', expected one of the keys kind, root, seed,
    train_per_class
data.kind=folder
    assignments data.kind=folder: data.root: got nothing, expected this key
    (A folder with one folder per class)
data.kind=foldr
    assignments data.kind=foldr: data.kind: got 'foldr', expected one of digits, folder.
    Did you mean 'folder'?
data.seed.x=1
    assignments data.seed.x=1: data.seed.x: got a place below data.seed, which is 3 (a whole
    number),
    expected a mapping there
backbones=[a] backbones.2=c
    assignments backbones.2=c: backbones.2: got '2', expected a place in the list backbones: a
    number
    below 1
search.num_trials
    assignments: got 'search.num_trials', expected path=value, such as search.num_trials=8
=8
    assignments: got '=8', expected path=value, such as search.num_trials=8
a..b=8
    assignments: got 'a..b=8', expected path=value, such as search.num_trials=8
a=
    assignments: got 'a=', expected a value after the = (or null)
a=[1
    assignments: got 'a=[1', expected YAML after the =, not a syntax error (while parsing
    a flow sequence at line 1, column 1, expected ',' or ']', but got '<stream end>')
"""


@pytest.mark.parametrize(("assignments", "expected"), table(WRONG_SET))
def test_a_wrong_set_is_named(assignments: str, expected: str) -> None:
    text = "data: {kind: digits, seed: 3, other: 0.5}"
    assert message(text, *assignments.split()) == expected


def test_locate_knows_values_keys_and_the_nearest_ancestor() -> None:
    document = read("a:\n  b.c:\n  - x\n  - {d: 1}\n")
    assert document.locate(("a", "b.c", 1, "d")) == "s.yaml:4:9"
    assert document.locate(("a", "b.c"), key=True) == "s.yaml:2:3"
    assert document.locate(("a", "b.c", 7)) == "s.yaml:3:3"
    assert document.locate(("z",)) == "s.yaml:1:1"
    late = InputError("a.b.c.1.d", got=1, expected="2")
    assert str(locate_error(late, document)) == "s.yaml:4:9: a.b.c.1.d: got 1, expected 2"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_what_is_written_reads_back_equal_and_in_order(value: dict[str, Any]) -> None:
    read_back = read_value(to_yaml(value))
    assert read_back == value
    assert repr(read_back) == repr(value)


@given(st.from_regex(r"[-+.~0-9eE_:xnulltrefasNTF]{0,8}", fullmatch=True))
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_value(to_yaml([text])) == [text]


def test_yaml_is_written_in_blocks_with_short_lists_on_a_line() -> None:
    value = {"lr": 1e-05, "on": "on", "b": ["x", 1], "c": [{"d": None}], "e": {}, "f": "1e-05"}
    assert to_yaml(value) == ("lr: 1e-05\non: on\nb: [x, 1]\nc:\n- d: null\ne: {}\nf: '1e-05'\n")
