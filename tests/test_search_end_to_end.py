"""One real search through Ray, two backbones: what it says, what it leaves, what takes it on."""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.model import load_classifier
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml
from tests.commands import STUDY, Event, Run, epochs_reported, of_kind, read_events, run, scalars

BACKBONES = ["squeezenet1_1", "shufflenet_v2_x0_5"]


class Search(NamedTuple):
    """A finished search: its process, its directory, its log and the JSON that it printed."""

    done: Run
    folder: Path
    events: list[Event]
    said: dict[str, Any]

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    root = tmp_path_factory.mktemp("search")
    space = root / "tiny.yaml"
    space.write_text(STUDY, encoding="utf-8")
    done = run("search", "--space", str(space), "--storage", str(root / "runs"), "--json")
    folder = root / "runs/tiny"
    return Search(done, folder, read_events(folder), json.loads(done.stdout))


def test_one_json_object_is_all_that_stdout_holds(search: Search) -> None:
    assert search.done.stdout.count("\n") == 1
    assert search.said["status"] == "finished"
    assert search.said["num_trials"] == 6
    assert search.said["metric"] == "val/accuracy"
    assert list(search.said["best"]) == BACKBONES


def test_every_path_that_is_named_exists(search: Search) -> None:
    paths = search.said["paths"]
    assert {"study", "trials", "epochs", "report", "tensorboard"} < set(paths)
    assert {f"best {backbone}" for backbone in BACKBONES} < set(paths)
    for path in paths.values():
        assert Path(path).exists()
        assert f"  {path}\n" in search.done.stderr, "unwrapped, to be copied"


def test_there_is_a_row_for_every_trial(search: Search) -> None:
    rows = search.rows("trials.csv")
    assert [int(row["number"]) for row in rows] == list(range(6))
    assert [row["backbone"] for row in rows] == BACKBONES * 3
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    for row in rows:
        assert 0.05 <= float(row["joint.margin"]) <= 0.9
        assert 0 <= float(row["joint.gan_lr"]) <= 2e-4
        assert float(row["seconds/joint"]) > 0
        assert (row["state"] == "complete") == (row["epochs"] == "4")


def test_every_epoch_is_there_once(search: Search) -> None:
    rows = [(int(row["number"]), int(row["epoch"])) for row in search.rows("epochs.csv")]
    assert (
        len(rows) == len(set(rows)) == sum(int(row["epochs"]) for row in search.rows("trials.csv"))
    )
    assert sorted(epochs_reported(search.events)) == rows


def test_the_shared_stages_are_computed_once(search: Search) -> None:
    stages = of_kind(search.events, "stage")
    of_backbone = [f"{stage}/{name}" for stage in ("classifier", "triplet") for name in BACKBONES]
    names = ["warmup", *of_backbone]
    assert sorted(stage["name"] for stage in stages) == sorted(names)
    assert not any(stage["cached"] for stage in stages)
    assert len(list((search.folder / "stages").glob("*.pt"))) == 5
    assert len(list((search.folder / "stages").glob("warmup-*.png"))) == 1
    (warmup,) = [stage for stage in stages if stage["name"] == "warmup"]
    assert [row["step"] for row in warmup["curve"]] == list(range(1, 11))
    spent = {key for row in search.rows("epochs.csv") for key in row if key.startswith("seconds/")}
    assert spent == {"seconds/joint"}


def test_trials_are_compared_within_their_backbone_only(search: Search) -> None:
    ends = {event["trial"]: event for event in of_kind(search.events, "trial_ended")}
    for backbone_index in range(2):
        passed: list[float] = []
        for event in of_kind(search.events, "epoch"):
            number, value = event["trial"], event["metrics"]["objective"]
            if number % 2 != backbone_index or event["epoch"] != 2:
                continue
            stopped = bool(passed) and value < np.percentile(passed, 200 / 3)
            assert ends[number]["status"] == ("pruned" if stopped else "complete")
            passed.append(value)
        assert len(passed) == 3


def test_the_study_reads_back_equal(search: Search) -> None:
    asked = parse(Study, read_yaml(search.folder.parents[1] / "tiny.yaml"))
    assert parse(Study, read_yaml(search.folder / "study.yaml")) == asked


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_winner_of_each_backbone_is_its_best_trial(search: Search, backbone: str) -> None:
    said = search.said["best"][backbone]
    rows = [row for row in search.rows("trials.csv") if row["backbone"] == backbone]
    complete = [float(row["value"]) for row in rows if row["state"] == "complete"]
    assert said["value"] == max(complete)
    config = parse(TrialConfig, read_yaml(said["config"]))
    assert config.backbone.name == backbone
    assert config.joint.margin == said["params"]["joint.margin"]


def test_training_the_winner_gives_the_weights_that_the_search_saw(
    search: Search, tmp_path: Path
) -> None:
    backbone = "shufflenet_v2_x0_5"
    said = search.said["best"][backbone]
    trained = tmp_path / "model"
    command = ["train", "--study", str(search.folder), "--backbone", backbone]
    result = CliRunner().invoke(app, [*command, "--out", str(trained), "--json"])
    assert result.exit_code == 0, result.output
    number = int(said["trial"].rpartition("-")[2])
    row = search.rows("trials.csv")[number]
    # The shared stages were computed elsewhere, and the trial's in a worker: the same numbers.
    accuracy = json.loads(result.stdout)["validation_accuracy"]
    assert accuracy == float(row["val/final_accuracy"]) == said["value"]
    kept = search.folder / "models" / said["trial"]
    assert load_classifier(kept)[1] == load_classifier(trained)[1]
    assert {path.name for path in kept.iterdir()} == {path.name for path in trained.iterdir()}
    for name in ("classifier.safetensors", "generator.safetensors"):
        assert (kept / name).read_bytes() == (trained / name).read_bytes()
    made = [read_yaml(folder / "model.yaml").value["made"] for folder in (kept, trained)]
    assert made[0] == made[1]
    evaluated = CliRunner().invoke(app, ["evaluate", str(kept), "--json"])
    assert json.loads(evaluated.stdout)["accuracy"] == accuracy


def test_every_trial_has_one_tensorboard_run_with_every_step_once(search: Search) -> None:
    names = {row["name"]: int(row["epochs"]) for row in search.rows("trials.csv")}
    boards = search.folder / "tensorboard"
    assert {path.name for path in boards.iterdir()} == set(names)
    for name, epochs in names.items():
        written = scalars(boards / name)
        assert all(len(values) == 1 for values in written.values())
        tags = {tag.partition("/")[0] for tag, _ in written}
        assert {"classifier", "warmup", "triplet", "joint", "synthetic", "trial"} <= tags
        steps = [step for tag, step in written if tag == "joint/val/accuracy"]
        assert steps == list(range(1, epochs + 1))
    assert not list((search.folder / "ray").rglob("*tfevents*"))


def test_a_plain_line_tells_of_every_event(search: Search) -> None:
    lines = search.done.stderr.splitlines()
    for event in of_kind(search.events, "epoch"):
        value = event["metrics"]["val/accuracy"]
        name = f"{BACKBONES[event['trial'] % 2]}-{event['trial']:04d}"
        assert f"{name}: epoch {event['epoch']}/4  val/accuracy {value:.4f}" in lines
    assert sum(": started  margin=" in line for line in lines) == 6
    ends = [line for line in lines if ": complete" in line or ": pruned" in line]
    assert sum("/6 trials, best" in line for line in ends) == 6
    assert lines[-1] == "The study is finished: 6 of 6 trials."
    assert "Values are validation accuracy." in lines


def test_ray_makes_no_noise(search: Search) -> None:
    assert "\x1b" not in search.done.output
    noise = ("Traceback", "Warning", "WARNING", "(raylet)", "ray::", "logging.cc", "[I ", "\r")
    lines = search.done.stderr.splitlines()
    assert [line for line in lines if any(sign in line for sign in noise)] == []
    # A machine under load may also say how long something has taken so far.
    lines = [line for line in lines if not line.endswith(" so far")]
    assert sum("Ray" in line for line in lines) == 1
    assert lines[0] == (
        "tiny: 60 training and 100 validation images of 10 classes, 0, 1, 2, 3, 4, "
        "5, 6, 7, 8, 9 (digits, 1x8x8; validation and test drawn from the same images); "
        "starting Ray on this machine"
    )


def test_no_checkpoint_is_left(search: Search) -> None:
    assert list(search.folder.rglob("checkpoint_*")) == []
    assert list(search.folder.rglob("*.tmp")) == []


def test_status_says_the_same(search: Search) -> None:
    result = CliRunner().invoke(app, ["status", str(search.folder), "--json"])
    assert result.exit_code == 0
    status = json.loads(result.stdout)
    assert status["state"] == "finished"
    assert status["counts"] == {
        backbone: {
            state: sum(
                row["backbone"] == backbone and row["state"] == state
                for row in search.rows("trials.csv")
            )
            for state in status["counts"][backbone]
        }
        for backbone in BACKBONES
    }
    for backbone, said in search.said["best"].items():
        best = status["best"][backbone]
        same = ("status", "value", "epochs", "params")
        assert {key: best[key] for key in same} == {key: said[key] for key in same}
        assert best["name"] == said["trial"]


def test_nothing_survives_the_search(search: Search) -> None:
    search.done.wait_for_silence()
