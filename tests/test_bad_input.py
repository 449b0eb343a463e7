"""Whatever a user writes, the answer is a valid study or a message: looked for, not listed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.errors import InputError, InputErrors, StudyError
from distill_tune.interfaces import plain
from distill_tune.study.space import parse_dimension
from distill_tune.study.study import Study
from distill_tune.study.validation import Place, parse, read_yaml_text, set_path, to_yaml
from tests.refusals import GOOD

A_MESSAGE = re.compile(r"\S.*: got \S.*, expected \S.*")


def answer(act: Callable[[], object]) -> object:
    """Return what ``act`` returns, or its message, of which every line says all it should."""
    try:
        return act()
    except (InputError, InputErrors) as error:
        for line in str(error).splitlines():
            assert A_MESSAGE.fullmatch(line), line
            assert line.isprintable(), line
        return str(error)


def study_of(text: str, *assignments: str) -> Study:
    """Read a study, which must then be written and read back as the same one."""
    document = read_yaml_text(text, "s.yaml")
    for assignment in assignments:
        document.set(assignment)
    study = parse(Study, document)
    assert parse(Study, read_yaml_text(to_yaml(plain(study)), "again")) == study
    return study


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    pairs: Any = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield (*above, key)
        yield from places(inner, (*above, key))


PLACES = sorted(places(read_yaml_text(GOOD, "good").value), key=str)
PATHS = [".".join(map(str, place)) for place in PLACES] + [
    *("data.kind", "data.root", "data.val_fraction", "data.test_fraction", "data.color"),
    *("trial.preset", "trial.seed", "trial.gan.kind", "trial.joint.refresh", "resources.gpus"),
    *("search.min_epochs", "search.time_budget_s", "space.joint", "space.gan.kind", "backbones.0"),
]
SIGNS = st.characters(codec=None)
TEXTS = st.text(SIGNS, max_size=12)
WORDS = st.sampled_from(
    ["digits", "folder", "npz", "mnist", "auto", "max", "safe", "poster_literal", "alexnet", "sgd"]
)
NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.integers(-(10**30), 10**30),
    st.sampled_from([2**63, -(2**63) - 1, 10**399, 5e-324, 1.7e308, float("inf"), float("nan")]),
    st.floats(),
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | WORDS
KEYS = TEXTS | st.sampled_from(["kind", "type", "min", "max", "values", "or_zero", "name", "low"])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MARKS = [
    *"{}[]:,-?&*!|>'\"%@`#~\n\t\\ ",
    *("- ", "? ", ": ", "\n  ", "&a ", "*a", "<<", "\n---\n", "\n...\n", "%YAML 1.2\n", "1e5"),
    *("!!python/name:os.system ", "\\UFFFFFFFF", "\\U00110000", "\\ud800", "\ufeff", "\u2028"),
    *("uniform(", "loguniform(", "randint(", "choice(", ")", "0", "1", "-1", "1e308", ".nan"),
]
SOUP = st.lists(st.sampled_from(MARKS) | TEXTS, max_size=12).map("".join)


@given(st.lists(st.tuples(st.sampled_from(PLACES), TREES), min_size=1, max_size=3))
@example([(("data",), {"kind": "folder", "root": "~nobody-of-that-name/x"})])
@example([(("data",), {"kind": "folder", "root": "x" * 5000})])
@example([(("data",), {"kind": "npz", "root": "a\0b\ud800"})])
@example([(("study",), "x" * 5000)])
@example([(("trial", "gan"), [1])])
def test_any_value_in_any_place_of_a_study(changes: list[tuple[Place, object]]) -> None:
    data = read_yaml_text(GOOD, "good").value
    for place, value in changes:
        try:
            set_path(data, place, value)
        except InputError:  # An earlier change took the place away.
            continue
    answer(lambda: study_of(to_yaml(data)))


@given(st.dictionaries(st.sampled_from(sorted(Study.model_fields)) | KEYS, TREES, max_size=4))
def test_any_mapping_for_a_study(data: dict[str, object]) -> None:
    answer(lambda: study_of(to_yaml(data)))


@given(st.data())
def test_any_damage_to_the_text_of_a_study(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        text = text[:start] + data.draw(SOUP) + text[start + data.draw(st.integers(0, 20)) :]
    answer(lambda: study_of(text))


@given(SOUP)
@example('"\\UFFFFFFFF"')
@example('"\\U00110000"')
@example("%YAML " + "9" * 5000)
@example("!<%ff> a")
def test_any_text_for_a_study(text: str) -> None:
    answer(lambda: study_of(text))


ASSIGNMENTS = st.builds(
    "{}{}={}".format,
    st.sampled_from(PATHS) | TEXTS,
    st.sampled_from(["", "", "", ".x", ".0", ".kind", ".-1", ".²", "."]),
    SOUP | SCALARS.map(lambda value: to_yaml([value]).strip()[1:-1]),
)


@given(st.lists(ASSIGNMENTS | TEXTS, min_size=1, max_size=3))
@example([f"backbones.{'9' * 5000}=alexnet"])
@example([f"space.{'a.' * 40_000}b=[1, 2]"])
@example([f"trial.{'a.' * 40_000}b=1"])
@example(["trial.gan.latent_dim=1000000000000"])
def test_any_assignment(assignments: list[str]) -> None:
    answer(lambda: study_of(GOOD, *assignments))


@given(SOUP | TREES)
def test_anything_for_a_dimension(raw: object) -> None:
    dimension = answer(lambda: parse_dimension("space.x", raw))
    if not isinstance(dimension, str):
        assert parse_dimension("space.x", dimension.plain()) == dimension  # type: ignore[attr-defined]


@given(TEXTS | st.from_regex(r"[./~\\a-zA-Z0-9_ \uff0e\u2215-]{1,12}", fullmatch=True))
@example("..")
@example("a/../../b")
@example("\u2024\u2024")
@example("resnet\n")
def test_a_name_that_is_accepted_is_one_folder_below_the_storage(name: str) -> None:
    study = answer(lambda: study_of(GOOD, f"study={to_yaml([name]).strip()[1:-1]}"))
    if isinstance(study, Study):
        assert Path("/runs", study.study).resolve().parent == Path("/runs")
        assert study.study.isascii()


def valid(*_: object, **__: object) -> None:
    raise StudyError("a valid study")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(assignments=st.lists(ASSIGNMENTS | TEXTS, max_size=2), name=st.none() | TEXTS)
def test_the_command_answers_with_a_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assignments: list[str], name: str | None
) -> None:
    monkeypatch.setattr("distill_tune.study.opened_study.load_images", valid)
    space = tmp_path / "s.yaml"
    space.write_text(GOOD, encoding="utf-8")
    options = [f"--set={assignment}" for assignment in assignments]
    options += [] if name is None else [f"--name={name}"]
    command = ["search", f"--space={space}", f"--storage={tmp_path / 'runs'}", *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count(": got ") or result.stderr == "a valid study\n"
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]
