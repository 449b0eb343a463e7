"""Merge keys and anchors: what Compose files and pipelines of CI do, a study may do too."""

from pathlib import Path
from typing import Any

import pytest

from distill_tune.errors import InputError
from distill_tune.interfaces import plain
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.study.opening import read_study, stored_study
from distill_tune.study.python_arguments import assignment_options
from distill_tune.study.validation import read_yaml, read_yaml_text, to_yaml

STUDY = """\
x-schedule: &schedule {epochs: 3, lr: 0.01}
x-notes: [anything, {at: all}]
study: anchored
data: {kind: digits, train_per_class: 20, val_per_class: 30}
backbones:
  - &resnet {name: resnet18, stem: imagenet}
  - <<: *resnet
    name: resnet34
trial:
  classifier:
    <<: *schedule
    lr: 0.02
  joint: {epochs: 3, min_hard: 2}
  gan: {warmup_steps: 9}
space: {joint.margin: "uniform(0.05, 0.9)"}
search: {num_trials: 2}
"""


def value(text: str) -> Any:
    return read_yaml_text(text, "a.yaml").value


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_yaml_text(text, "a.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"x": 1, "y": 3}),
        ("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}", {"y": 3, "x": 1}),
        ("a: &a {x: 1}\nc: &c {x: 2, z: 4}\nb: {<<: [*a, *c]}", {"x": 1, "z": 4}),
        ("a: &a {x: 1}\nc: &c {<<: *a, z: 4}\nb: {<<: *c}", {"z": 4, "x": 1}),
        ("a: &a {deep: {er: [1]}}\nb: {<<: *a}", {"deep": {"er": [1]}}),
        ("b:\n  <<: {x: 1}\n  <<<: 2", {"<<<": 2, "x": 1}),
        ("b: {<<: []}", {}),
        ("b: {'<<': {x: 1}}", {"<<": {"x": 1}}),
        ("a: &a {x: 1}\nc: &a {x: 2}\nb: {<<: *a}", {"x": 2}),
        ("a: &a 1\nd: *a\nc: &a 2\nb: {x: *a}", {"x": 2}),
    ],
)
def test_a_merge_key_gives_what_a_mapping_lacks(text: str, expected: object) -> None:
    assert value(text)["b"] == expected


def test_what_is_merged_twice_is_not_shared() -> None:
    document = read_yaml_text("x-a: &a {n: {m: 1}}\nb: {<<: *a}\nc: {<<: *a}", "a.yaml")
    document.set("b.n.m=5")
    assert document.value == {"b": {"n": {"m": 5}}, "c": {"n": {"m": 1}}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b: {<<: 3}", "a.yaml:1:9: b: got something else after <<, expected a mapping, such as"),
        ("b: {<<: [{x: 1}, y]}", "a.yaml:1:18: b: got something else after <<"),
        ("b: {<<: !!python/name:os {x: 1}}", "a.yaml:1:9: b: got something else after <<"),
        ("b: {<<: {x: 1}, <<: {y: 1}}", "a.yaml:1:21: b: got the key << a second time, expected"),
        ("b: &b {<<: *b}", "a.yaml:1:4: b: got an alias (*) of an enclosing value"),
        ("a: &a {b: {<<: *a}}", "a.yaml:1:11: a.b: got an alias (*) of an enclosing value"),
        ("a: &a {b: {c: [{<<: [*a]}]}}", "a.yaml:1:16: a.b.c.0: got an alias (*) of an enclosing"),
        ("a: &a {x: 1}\nb: &a {<<: *a}", "a.yaml:2:4: b: got an alias (*) of an enclosing value"),
        ("a: &a {? [x] : 1}\nb: {<<: *a}", "a.yaml:1:10: a: got a key that is a list"),
        (
            "a: &a {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\n"
            "b: {<<: [" + ", ".join(["*a"] * 2000) + "]}",
            "got more than 100000 merged keys, expected fewer",
        ),
    ],
)
def test_a_merge_key_that_means_nothing_is_refused(text: str, said: str) -> None:
    assert said in refused(text)


def test_only_keys_of_the_top_level_hold_anchors() -> None:
    assert value("x-a: 1\nX-b: 2\nb: {x-c: 3}\nx: 4") == {"X-b": 2, "b": {"x-c": 3}, "x": 4}


def test_text_that_looks_like_a_merge_key_is_written_as_text() -> None:
    data = {"a": {"<<": {"x": 1}, "b": "<<"}}
    assert value(to_yaml(data)) == data


def test_a_study_is_read_with_what_it_merges_and_written_without(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    study, _ = read_study(file, ["trial.classifier.epochs=4", "backbones.0.stem=small"], {})
    assert [(one.name, one.stem) for one in study.backbones] == [
        ("resnet18", "small"),
        ("resnet34", "imagenet"),
    ]
    assert (study.trial.classifier.epochs, study.trial.classifier.lr) == (4, 0.02)
    written = to_yaml(plain(study))
    assert not {"<<", "&", "*", "x-"} & {*written.split()}
    (tmp_path / "copy.yaml").write_text(written)
    assert read_study(tmp_path / "copy.yaml", [], {})[0] == study


def test_what_is_wrong_in_a_merged_mapping_is_shown_where_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("epochs: 3, lr", "epochs: many, lr"))
    with pytest.raises(InputError, match=r"study\.yaml:1:32: trial\.classifier\.epochs: got 'many"):
        read_study(file, [], {})


def test_an_anchor_holder_cannot_be_set_as_nothing_would_come_of_it(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    with pytest.raises(InputError, match=r"top level: got .x-schedule., expected one of the keys"):
        read_study(file, ["x-schedule.epochs=9"], {})
    assert assignment_options({"x-schedule.epochs": 9}) == ["x-schedule.epochs=9"]


def test_a_study_in_python_may_hold_anchors_as_well(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    mapping = {**read_yaml(tmp_path / "study.yaml").value, "x-of mine": {"a": 1}}
    assert read_study(mapping, [], {})[0].study == "anchored"


@pytest.mark.parametrize(
    ("text", "has_hint"),
    [
        ("X-defs: &d {epochs: 3}\n", True),
        ("_defs:\n  base: &d\n    epochs: 3\n", True),
        ("definitions: [&d {epochs: 3}]\n", True),
        ("definitions: {epochs: 3}\n", False),
        ("definitions: &d 3\n", True),
    ],
)
def test_an_unknown_key_that_holds_anchors_gets_the_name_that_may(
    text: str, has_hint: bool, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text + STUDY)
    with pytest.raises(InputError) as caught:
        read_study(file, [], {})
    said = str(caught.value)
    key = text.partition(":")[0]
    assert f"study.yaml:1:1: top level: got {key!r}, expected one of the keys" in said
    assert ("(or a name that begins with x-, for what only holds anchors)" in said) == has_hint


@pytest.mark.parametrize("is_logged", [True, False])
def test_a_study_that_goes_on_knows_what_it_merged(is_logged: bool, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    study, _ = read_study(file, [], {})
    directory = StudyDirectory(str(tmp_path / "runs"))
    directory.create()
    resolved = {"study": plain(study)} if is_logged else {}
    directory.append({"event": "session_started", "time": "2026-01-01T00:00:00", **resolved})
    directory.write_bytes(STUDY_FILE, to_yaml(plain(study)).encode())
    assert stored_study(directory)[0] == study
    changed, _ = stored_study(directory, {}, ["trial.classifier.epochs=9"])
    assert (changed.trial.classifier.epochs, changed.trial.classifier.lr) == (9, 0.02)
    assert study.trial.classifier.epochs == 3
