"""Comparison of studies: tables, page, JSON, Python."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import distill_tune
from distill_tune import compare
from distill_tune.cli import app
from distill_tune.records.confirm_log import CHOSEN
from distill_tune.records.directory import StudyDirectory
from distill_tune.report.comparison.course import colour
from distill_tune.report.comparison.tables import comparison_tables
from tests.confirmation.test_summary import BASE, CLEAR, log
from tests.report.made_up import NAME, add, begin, make_study
from tests.report.page_reader import Page


def confirmed(directory: StudyDirectory, lead: float, **fields: Any) -> StudyDirectory:
    """Add a confirmation in which the method leads the made-up one by so much, more or less."""
    values = [one for one in CLEAR["gan_distillation"] if one is not None]
    method = [one + lead * (0.9 + 0.05 * seed) for seed, one in enumerate(values)]
    for event in log({NAME: dict(CLEAR) | {"gan_distillation": method}}):
        directory.append(event | (fields if event["event"] == "confirm_run" else {}))
    return directory


def of(*directories: StudyDirectory) -> distill_tune.Comparison:
    return compare(*(one.root for one in directories))


def test_each_backbone_of_each_study_has_its_best_and_its_cost(tmp_path: Path) -> None:
    small = make_study(tmp_path / "small", 4)
    large = make_study(tmp_path / "large", 40, ("alexnet", "resnet18"))
    found = of(small, large)
    assert [(row.study, row.backbone) for row in found.backbones] == [
        ("small", "resnet18"),
        ("large", "resnet18"),
        ("large", "alexnet"),
    ]
    for row, directory in zip(found.backbones, (small, large, large), strict=True):
        trials = [t for t in directory.state().trials.values() if t.backbone == row.backbone]
        best = max(t.value or 0 for t in trials if t.status == "complete")
        seconds = 20 + sum(sum(trial.seconds.values()) for trial in trials)
        assert row.value == best
        assert row.num_trials == len(trials)
        # Two cores for each trial.
        assert row.hours == pytest.approx(2 * seconds / 3600)
        assert row.unit == "core-hour"
    assert found.course is not None
    plot = found.course.plots[0]
    assert [one.study for one in plot.studies] == ["small", "large"]
    assert plot.target == min(one.points[-1][1] for one in plot.studies)
    for one in plot.studies:
        reached = [hours for hours, best in one.points if best >= plot.target]
        assert one.hours_to_target == reached[0]


def test_the_fields_that_differ_are_listed(tmp_path: Path) -> None:
    one, other = begin(tmp_path / "a"), begin(tmp_path / "b")
    study = other.events()[0]["study"]
    study["space"]["joint.margin"] = "uniform(0.05, 0.5)"
    del study["space"]["joint.pairing"]
    study["search"]["seed"] = 7
    # The other study has null there.
    study["search"]["finalists"] = {"top": 2}
    study["backbones"][0]["pretrained"] = True
    study["study"] = "another"
    session = {"command": "search", "study": study, "version": "9.9"}
    other.append({"event": "session_started", **session})
    found = {row.path: tuple(row.values.values()) for row in of(one, other).differences}
    assert found.pop("backbones.resnet18.pretrained")[1] == "true"
    assert found == {
        "space.joint.margin": ("uniform(0.05, 0.9)", "uniform(0.05, 0.5)"),
        "space.joint.pairing": ("choice(assign, contrast)", ""),
        "search.seed": ("0", "7"),
        "search.finalists.top": ("", "2"),
        "version": ("null", "9.9"),
    }


def test_confirmed_studies_are_paired_by_seed(tmp_path: Path) -> None:
    first = confirmed(make_study(tmp_path / "first", 8), 0.0)
    second = confirmed(make_study(tmp_path / "second", 8), -0.02)
    third = confirmed(make_study(tmp_path / "third", 8), 0.0)
    found = of(first, second, third)
    pairs = {(pair.first, pair.second): pair for pair in found.pairs}
    assert len(pairs) == 3
    assert pairs["first", "second"].gain.mean == pytest.approx(0.02)
    assert pairs["first", "second"].gain.num_pairs == len(BASE)
    assert pairs["first", "second"].effect == "helps"
    assert pairs["second", "third"].effect == "harms"
    assert pairs["first", "third"].effect == "no evidence"
    # The pairs are corrected together.
    assert pairs["first", "third"].adjusted_p == 1.0
    assert "resnet18: first over second: +2.00 points" in pairs["first", "second"].sentence
    assert pairs["second", "third"].sentence.endswith("n = 5: third is better")


def test_a_difference_of_a_metric_that_is_no_share_is_not_in_points(tmp_path: Path) -> None:
    directories = [make_study(tmp_path / name, 8) for name in ("first", "second")]
    for directory, lead in zip(directories, (0.0, -0.02), strict=True):
        values = {"gan_distillation": [0.7 + lead + seed / 1000 for seed in range(4)]}
        for event in log({NAME: values}):
            metric = {"metric": "val/kappa"} if event["event"] == CHOSEN else {}
            test = {"test": {"kappa": event["test"]["accuracy"]}} if event.get("test") else {}
            directory.append(event | metric | test)
    (pair,) = of(*directories).pairs
    assert "first over second: +0.0200, no interval" in pair.sentence


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"images": "other"}, "not paired, they were trained on other images"),
        ({"test_images": "other"}, "not paired, they were tested on other images"),
        (
            {"test_images": "", "class_counts": [20, 10]},
            "not paired, they were tested on other images",
        ),
        ({"seed": 5}, "not paired, they have no seed in common"),
    ],
)
def test_what_cannot_be_paired_says_why(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    tested = {"test_images": "own", "class_counts": [10, 10]}
    first = confirmed(make_study(tmp_path / "first", 8), 0.0, **tested)
    second = confirmed(make_study(tmp_path / "second", 8), 0.0, **(tested | fields))
    (pair,) = of(first, second).pairs
    assert pair.sentence.endswith(reason)


@pytest.mark.parametrize("other", [{}, {"class_counts": [10, 10]}])
def test_logs_that_do_not_tell_their_test_images_are_paired(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    tested = {"test_images": "own", "class_counts": [10, 10]}
    first = confirmed(make_study(tmp_path / "first", 8), 0.0, **tested)
    second = confirmed(make_study(tmp_path / "second", 8), 0.0, **other)
    (pair,) = of(first, second).pairs
    assert pair.gain.num_pairs == len(BASE)


def test_only_seeds_with_the_same_images_are_paired(tmp_path: Path) -> None:
    first = confirmed(make_study(tmp_path / "first", 8), 0.0)
    second = make_study(tmp_path / "second", 8)
    for event in log({NAME: CLEAR}):
        is_other = event.get("seed") == 1000
        second.append(event | ({"images": "other"} if is_other else {}))
    (pair,) = of(first, second).pairs
    assert pair.gain.num_pairs == len(BASE) - 1


def test_what_limits_a_comparison_is_said(tmp_path: Path) -> None:
    one, other = begin(tmp_path / "a"), begin(tmp_path / "b")
    for directory in (one, other):
        add(directory, 0, [0.5, 0.75], "complete")
    other.append({"event": "data", "name": "digits", "digest": "fedcba", "classes": []})
    study = other.events()[0]["study"]
    study["search"]["metric"] = "val/balanced_accuracy"
    study["resources"]["gpus"] = 1
    other.append({"event": "session_started", "command": "search", "study": study})
    found = of(one, other)
    assert comparison_tables(found)[0].rows[0][2] == "best"
    said = " ".join(found.remarks)
    assert "different images" in said
    assert f"({one.root}: val/accuracy, {other.root}: val/balanced_accuracy)" in said
    assert "Some hours are of GPUs" in said
    assert f"Not finished: {one.root} (interrupted)" in said
    assert "optimistic" in said


def test_the_terminal_shows_tables_of_80_columns(tmp_path: Path) -> None:
    first = confirmed(make_study(tmp_path / "first", 8), 0.0)
    second = make_study(tmp_path / "second", 12, ("alexnet", "resnet18"))
    done = CliRunner().invoke(app, ["compare", first.root, second.root], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(done.stdout.split())
    best = max(t.value or 0 for t in first.state().trials.values() if t.status == "complete")
    assert f"first resnet18 {best:.4f}" in text
    assert "study backbone best accuracy of trial" in text
    assert "first resnet18 0.7608" in text
    assert "search.num_trials 8 12" in text


def test_many_studies_fit_80_columns(tmp_path: Path) -> None:
    roots = [make_study(tmp_path / f"study-{count}", count + 1).root for count in range(8)]
    done = CliRunner().invoke(app, ["compare", *roots], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "1 (study-0); 2 (study-1)" in " ".join(done.stdout.split())
    assert len({colour(index) for index in range(8)}) == 8


def test_the_page_and_the_json_say_the_same(tmp_path: Path) -> None:
    first = confirmed(make_study(tmp_path / "first", 8), 0.0)
    second = confirmed(make_study(tmp_path / "second", 12), -0.02)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["compare", first.root, second.root, "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said.pop("written") == [str(out / "comparison.html"), str(out / "comparison.json")]
    assert said == json.loads((out / "comparison.json").read_text())
    page = Page((out / "comparison.html").read_text())
    for row in said["backbones"]:
        assert f"{row['value']:.4f}" in page.text
    (pair,) = said["pairs"]
    assert f"{pair['sentence']}." in page.text
    assert {"results", "course", "confirmed", "differences", "studies"} <= set(page.ids)
    lines = [kind for kind in page.classes("path") if kind.startswith("study")]
    assert lines == ["study0", "study1"]
    for tag, found in page.tags:
        for name in ("src", "href"):
            assert found.get(name, "data:").startswith(("data:", "#")), (tag, found)


def test_studies_without_trials_are_compared(tmp_path: Path) -> None:
    one, other = begin(tmp_path / "a"), begin(tmp_path / "b")
    found = compare(one.root, other.root, out=tmp_path / "out")
    assert (found.backbones, found.course, found.pairs) == ((), None, ())
    assert "No trial has started yet" in (tmp_path / "out/comparison.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a", "compare: got 1 study, expected the directories of two studies or more"),
        ("a a/", "a: got the same study twice, expected different ones"),
        ("a b/../a", "b/../a: got the same study twice, expected different ones"),
        ("a aa", "aa: no study here (no study.yaml). Did you mean 'a'?"),
        ("a link", "link: got the same study twice, expected different ones"),
        ("a b --out=", "--out: got '', expected a folder or a URI"),
        ("a b --out a/study.yaml", "--out: got 'a/study.yaml', expected a folder that can be"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_study(Path("a"), 1)
    make_study(Path("b"), 1)
    Path("link").symlink_to("a")
    done = CliRunner().invoke(app, ["compare", *arguments.split()])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(message)


def test_a_comparison_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    roots = [confirmed(make_study(tmp_path / name, 8), 0.0).root for name in ("one", "two")]
    code = (
        "import sys\n"
        "from distill_tune import compare\n"
        f"assert compare(*{roots!r}, out={str(tmp_path / 'out')!r}).pairs\n"
        "print(sorted({'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]"]
