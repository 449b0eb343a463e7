"""Reports of studies of every size and state."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.cli.running import write_page
from distill_tune.records.directory import StudyDirectory
from distill_tune.report import FILES
from distill_tune.report.class_results import class_results, class_table
from distill_tune.report.figures import OF_A_BACKBONE, OF_THE_STUDY
from distill_tune.report.study_records import source
from distill_tune.report.tables import trials_table
from distill_tune.study.validation import to_yaml
from tests.confirmation.test_summary import CLEAR, log, planned
from tests.report.made_up import NAME, add, begin, make_study
from tests.report.page_reader import report

ONE = ("resnet18",)
THREE = ("alexnet", "resnet18", "densenet121")


@pytest.mark.parametrize(
    ("num_trials", "backbones"),
    [(0, ONE), (1, ONE), (3, ONE), (300, ONE), (300, THREE)],
)
def test_every_size_has_a_report(
    tmp_path: Path, num_trials: int, backbones: tuple[str, ...]
) -> None:
    directory = make_study(tmp_path / "study", num_trials, backbones)
    page, said = report(directory)
    tried = [name for name in backbones if num_trials]
    assert list(said["figures"]) == tried
    assert page.classes("article") == ["card"] * len(tried)
    assert len([tag for tag, _ in page.tags if tag == "tr"]) == (num_trials + 1 if tried else 0)
    rows = list(csv.DictReader(io.StringIO(directory.read_text("trials.csv"))))
    assert [int(row["number"]) for row in rows] == list(range(num_trials))
    assert len(page.ids) == len(set(page.ids))
    assert "unfinished" not in page.ids
    for name in tried:
        assert "unconfirmed" in page.text
        best = said["best"][name]
        assert f"{100 * best['value']:.2f}" in page.text
        if num_trials == 300:
            assert set(said["figures"][name]) == set(OF_A_BACKBONE)
    if tried:
        head = trials_table(source(directory)).head
        assert head[head.index("state") + 1] == "accuracy"
    if num_trials == 300:
        wanted = {"generator", "stages"} | ({"agreement"} if backbones == THREE else set())
        assert set(said["overall"]) == wanted <= set(OF_THE_STUDY)


def test_the_classes_of_the_best_model_and_of_the_confirmation_are_shown(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 6, ONE)
    of_class = {"num_train": 9, "num_val": 3, "recall_stage_one": 0.25, "recall": 0.75}
    by_class = {"<ant>": of_class | {"agreement": 0.5, "diversity": None}, "bee": {"recall": "x"}}
    for number in range(6):
        directory.write_text(
            f"models/resnet18-{number:04d}/model.yaml", to_yaml({"by_class": by_class})
        )
    directory.append({"event": "data", "digest": "d", "classes": ["<ant>", "bee"], "skipped": []})
    page, said = report(directory)
    ant, bee = said["classes"]["resnet18"]
    assert {name: ant[name] for name in of_class} == of_class
    assert (ant["name"], ant["agreement"], ant["diversity"]) == ("<ant>", 0.5, None)
    assert set(bee.values()) == {"bee", None}
    assert "classes" in page.ids
    assert "validation recall before the GAN" in page.text
    assert "75.0" in page.text
    assert "GAN diversity" not in page.text
    assert "classes" not in report(make_study(tmp_path / "other", 6, ONE))[0].ids
    # The trial that was confirmed is not the search's best one.
    confirmed = {"<ant>": of_class | {"recall": 0.5}}
    directory.write_text("models/resnet18-0004/model.yaml", to_yaml({"by_class": confirmed}))
    recalls = {"equal_steps": [0.5, 0.8], "gan_distillation": [0.75, 0.7]}
    for event in log({"resnet18": CLEAR}):
        if event.get("arm") in recalls:
            event |= {"recalls": recalls[event["arm"]], "class_counts": [4, 10]}
        directory.append(event)
    found = source(directory)
    rows = class_results(found, "resnet18")
    assert [row.recall for row in rows] == [0.5, None]
    assert [row.test_gain for row in rows] == pytest.approx([0.25, -0.1])
    table = class_table("resnet18", rows)
    assert table.title == (
        "resnet18: recall of each class in %; on the test split means over seeds"
    )
    # What decides comes first, where no page is too narrow for it.
    head = ("class", "test recall, baseline", "test recall, method", "gain", "test images")
    assert table.head[:5] == head
    assert [[cell.text for cell in row[:5]] for row in table.rows] == [
        ["<ant>", "50.0", "75.0", "+25.0", "4"],
        ["bee", "80.0", "70.0", "-10.0", "10"],
    ]


def test_every_figure_has_a_text_that_says_the_same(tmp_path: Path) -> None:
    page, said = report(make_study(tmp_path / "study", 60, THREE))
    drawings = [found for _, found in page.tags if found.get("role") == "img"]
    assert len(drawings) >= 15
    for found in drawings:
        assert found["aria-labelledby"] in page.ids
    for figures in [*said["figures"].values(), said["overall"]]:
        for figure in figures.values():
            assert figure["words"].endswith((".", ".)"))
            assert figure["words"] in page.text


def test_a_study_of_failures_says_why(tmp_path: Path) -> None:
    page, said = report(make_study(tmp_path / "study", 6, are_failing=True))
    assert said["best"] == {"resnet18": None}
    assert "no value" in page.text
    assert "6 of 6 trials failed: diverged (caused by the params)" in page.text
    # What a stranger wrote is text, not markup.
    assert "loss <b>nan</b> in epoch 2" in page.text


def test_a_running_study_says_so_and_an_interrupted_one_how_to_go_on(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 12, status=None)
    with directory.lock():
        page, said = report(directory)
    assert "This study is running" in page.text
    assert said["state"] == "running"
    assert "resume the search" not in {one["purpose"] for one in said["commands"]}
    assert "11 of 12 trials over" in page.text
    page, said = report(directory)
    command = f"distill-tune resume {directory.root}"
    assert f"not finished. Resume it with {command}" in page.text
    assert {"purpose": "resume the search", "line": command} in said["commands"]
    assert "interrupted" in page.text


def test_a_confirmed_study_says_what_was_confirmed(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 8)
    for event in log({"resnet18": CLEAR}):
        directory.append(event)
    page, said = report(directory)
    (headline,) = said["headlines"]
    assert headline["confirmed"]["effect"] == "helps"
    assert headline["confirmed"]["num_seeds"] == 5
    assert headline["confirmed"]["test"] == pytest.approx(0.7608)
    assert headline["confirmed"]["low"] < 0.7608 < headline["confirmed"]["high"]
    assert f"{headline['confirmed']['verdict']}." in page.text
    assert "pill unconfirmed" not in page.classes("span")
    assert "pill helps" in page.classes("span")
    assert "confirmed: helps" in page.text
    assert said["confirmation"]["backbones"]["resnet18"]["baseline"] == "equal_steps"
    for cell in ("Hard oversampling", "76.08 ± 1.38", "controls untuned"):
        assert cell in page.text
    assert said["surroundings"]["confirmation seeds"] == "1000, 1001, 1002, 1003, 1004"


def test_a_confirmation_that_is_not_over_does_not_look_like_one(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 8)
    for event in planned(log({"resnet18": CLEAR}))[:-4]:
        directory.append(event)
    page, said = report(directory)
    assert "so far: helps" in page.text
    assert "confirmed: " not in page.text
    words = "3 of 5 seeds, 28 of 30 runs"
    assert f"so far, {words}: GAN distillation helps" in page.text
    assert said["headlines"][0]["confirmed"]["is_over"] is False


@pytest.mark.parametrize(("failed", "told"), [((), ""), ((0, 4), " (2 of 5 failed)")])
def test_the_mean_of_fresh_seeds_says_how_many_failed(
    tmp_path: Path, failed: tuple[int, ...], told: str
) -> None:
    directory = make_study(tmp_path / "study", 8)
    values = enumerate(CLEAR["gan_distillation"])
    method = [None if place in failed else value for place, value in values]
    for event in log({"resnet18": dict(CLEAR) | {"gan_distillation": method}}):
        directory.append(event)
    page, said = report(directory)
    # On the card of the backbone, and in the chapter on the confirmation.
    assert f"65.00 in the search, 60.00 ± 0.00 with fresh seeds{told}." in page.text
    assert f"65.00 in the search -> 60.00 ± 0.00 with fresh seeds{told}" in page.text
    assert page.text.count("of 5 failed") == (3 if failed else 0)
    assert said["headlines"][0]["confirmed"]["failed_seeds"] == told.strip(" ()")


def test_the_search_of_a_tuned_arm_is_shown_the_way_to(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 8)
    for event in log({"resnet18": CLEAR}):
        directory.append(event)
    directory.write_text("arms/gan_augmentation/study.yaml", "")
    _, said = report(directory)
    lines = [command["line"] for command in said["commands"] if "/arms/" in command["line"]]
    assert lines == [f"distill-tune report {directory.root}/arms/gan_augmentation"]


def test_a_warm_start_says_whether_it_helped(tmp_path: Path) -> None:
    directory = begin(tmp_path)
    point = {"joint.margin": 0.15}
    state = directory.events()[0]["study"]
    state["search"]["first_points"] = {NAME: [point]}
    directory.append({"event": "session_started", "command": "search", "study": state})
    add(directory, 0, [0.5, 0.75], "complete")
    add(directory, 1, [0.5, 0.625], "complete")
    page, said = report(directory)
    text = (
        f"warm start of {NAME}: the best of 1 warm-started trial has 0.7500 (trial 0), the best "
        "of 1 other 0.6250 (trial 1); it gave the study's best (validation values of one search, "
        "subject to chance)"
    )
    assert said["warm_start"] == [text]
    assert "Warm start of" in page.text


def test_the_files_go_where_they_are_asked_to(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 1)
    before = set((tmp_path / "study").iterdir())
    done = CliRunner().invoke(
        app, ["report", directory.root, "--out", str(tmp_path / "a/b"), "--json"]
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [Path(path).name for path in said.values()] == list(FILES)
    assert {path.name for path in (tmp_path / "a/b").iterdir()} == set(FILES)
    assert set((tmp_path / "study").iterdir()) == before
    for path in said.values():
        assert f"written: {path}" in done.stderr


def test_an_object_store_has_a_report(tmp_path: Path) -> None:
    make_study(tmp_path / "study", 3)
    directory = StudyDirectory(f"memory://{tmp_path.name}/study")
    directory.write_text("study.yaml", (tmp_path / "study/study.yaml").read_text())
    directory.write_text("events.jsonl", (tmp_path / "study/events.jsonl").read_text())
    page, said = report(directory)
    assert said["best"]["resnet18"]["number"] in {0, 1, 2}
    assert "89.78" in page.text or "unconfirmed" in page.text


FOLDER = "expected a folder that can be written to"
STUDY_FILE = "{here}/study/study.yaml"
ADDRESS = "a path or a reachable URI (Protocol not known: xyz)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nothing", "nothing: no study here (no study.yaml)"),
        ("stud", "stud: no study here (no study.yaml). Did you mean 'study'?"),
        (
            "study --out study/study.yaml",
            f"--out: got 'study/study.yaml', {FOLDER} (got {STUDY_FILE}, which is not a folder)",
        ),
        ("study --out xyz://a", f"study directory: got 'xyz://a', expected {ADDRESS}"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_study(Path("study"), 1)
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(app, ["report", *arguments.split()])
    assert done.exit_code == 2, done.output
    assert done.stderr == message.format(here=tmp_path) + "\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    directory = make_study(tmp_path / "study", 90, THREE)
    for event in log({"resnet18": CLEAR}):
        directory.append(event)
    heavy = {"torch", "ray", "matplotlib", "fsspec"}
    code = (
        "import sys\n"
        "from distill_tune.cli import app\n"
        f"app(['report', {directory.root!r}], standalone_mode=False)\n"
        f"assert 'optuna.importance' in sys.modules\n"
        f"print(sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    said = json.loads(directory.read_text("report.json"))
    assert said["figures"]["resnet18"]["importances"]["info"]["rows"]


def test_numbers_that_nobody_can_read_are_not_written(tmp_path: Path) -> None:
    make_study(tmp_path / "study", 3)
    page, _ = report(StudyDirectory(str(tmp_path / "study")))
    assert not re.search(r"\b(nan|inf|Markup)\b", page.text.replace("<b>nan</b>", ""))


def test_that_a_report_fails_ends_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_study(tmp_path / "study", 1)
    console = Console(file=io.StringIO(), width=200)
    assert write_page(directory, console) == [directory.path("report.html")]

    def fail(*_: object) -> None:
        raise RuntimeError("[no] reason")

    monkeypatch.setattr("distill_tune.report.write_report", fail)
    assert write_page(directory, console) == []
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "warning: the report was not written: [no] reason\n"
