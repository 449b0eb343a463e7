"""A trial of a study, found by number, by name or as the best, as a recipe to be trained."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from distill_tune import train
from distill_tune.cli import app
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DistillTuneError
from distill_tune.interfaces import plain
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml, read_yaml_text
from distill_tune.training.recipe import Recipe
from distill_tune.training.trial_recipe import trial_recipe
from tests.commands import STUDY
from tests.training.tiny import SHORT

ONE = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[squeezenet1_1]")
RATIO = "joint.synthetic_ratio"
VALUE = "validation_accuracy"


def recorded(root: Path, text: str, values: list[tuple[str, float | None]]) -> StudyDirectory:
    """Return a study with trials ``(backbone, value)``; trial i has a synthetic ratio of i / 8."""
    directory = StudyDirectory(str(root / "runs/tiny"))
    study = parse(Study, read_yaml_text(text, "tiny.yaml"))
    directory.append({"event": "session_started", "command": "search", "study": plain(study)})
    directory.append({"event": "data", "digest": "d1", "skipped": []})
    for number, (backbone, value) in enumerate(values):
        params = {RATIO: number / 8}
        name = f"{backbone}-{number:04d}"
        trial = {"trial": number, "name": name, "backbone": backbone, "params": params}
        directory.append({"event": "trial_started", **trial})
        if value is not None:
            metrics = {"objective": value}
            directory.append({"event": "epoch", "trial": number, "epoch": 1, "metrics": metrics})
        status = "complete" if value is not None else "failed"
        directory.append({"event": "trial_ended", "trial": number, "status": status})
    return directory


@pytest.fixture
def several(tmp_path: Path) -> StudyDirectory:
    names = ["squeezenet1_1", "shufflenet_v2_x0_5"] * 2
    return recorded(tmp_path, STUDY, list(zip(names, [0.5, None, 0.7, 0.6], strict=True)))


def config(recipe: Recipe) -> TrialConfig:
    return parse(TrialConfig, recipe.document)


def test_the_best_of_the_only_backbone_is_taken(tmp_path: Path) -> None:
    values = [("squeezenet1_1", 0.5), ("squeezenet1_1", 0.7), ("squeezenet1_1", None)]
    recipe = trial_recipe(recorded(tmp_path, ONE, values))
    origin = {"study": "tiny", "trial": "squeezenet1_1-0001", "params": {RATIO: 0.125}}
    assert recipe.origin == origin
    assert (recipe.digest, recipe.threads) == ("d1", 1)
    found = config(recipe)
    assert (found.backbone.name, found.joint.synthetic_ratio) == ("squeezenet1_1", 0.125)
    assert found.gan.warmup_steps == 10


@pytest.mark.parametrize(
    ("trial", "backbone", "found"),
    [
        ("3", None, "shufflenet_v2_x0_5-0003"),
        ("0", None, "squeezenet1_1-0000"),
        ("squeezenet1_1-0000", None, "squeezenet1_1-0000"),
        ("shufflenet_v2_x0_5-0001", "shufflenet_v2_x0_5", "shufflenet_v2_x0_5-0001"),
        (None, "squeezenet1_1", "squeezenet1_1-0002"),
        (None, "shufflenet_v2_x0_5", "shufflenet_v2_x0_5-0003"),
    ],
)
def test_a_trial_is_found(
    several: StudyDirectory, trial: str | None, backbone: str | None, found: str
) -> None:
    recipe = trial_recipe(several, trial=trial, backbone=backbone)
    assert recipe.origin["trial"] == found
    assert config(recipe).joint.synthetic_ratio == int(found[-4:]) / 8


@pytest.mark.parametrize(
    ("trial", "backbone", "message"),
    [
        (None, None, "backbone: got nothing, expected one of squeezenet1_1, shufflenet_v2_x0_5"),
        (None, "alexnet", "backbone: got 'alexnet', expected a backbone of the study: squeezene"),
        (
            "9",
            None,
            "trial: got '9', expected the number or the name of a trial of the study",
        ),
        ("9" * 5000, None, "trial: got '9999"),
        ("squeezenet1_1-0004", None, "trial: got 'squeezenet1_1-0004', expected the number"),
        ("0", "shufflenet_v2_x0_5", "backbone: got shufflenet_v2_x0_5, and trial squeezenet1_1-"),
    ],
)
def test_what_is_not_there_is_named(
    several: StudyDirectory, trial: str | None, backbone: str | None, message: str
) -> None:
    with pytest.raises(DistillTuneError) as caught:
        trial_recipe(several, trial=trial, backbone=backbone)
    assert str(caught.value).startswith(message)


def test_a_study_without_a_value_has_no_best(tmp_path: Path) -> None:
    directory = recorded(tmp_path, ONE, [("squeezenet1_1", None)])
    with pytest.raises(DistillTuneError, match="no trial of squeezenet1_1 has a value yet"):
        trial_recipe(directory)


def test_changes_and_a_seed_are_told_in_the_origin_and_placed_in_errors(
    several: StudyDirectory,
) -> None:
    first = trial_recipe(several, trial="0")
    recipe = first.changed(["joint.margin=0.25"], 7)
    assert (config(first).seed, "changed" in first.origin) == (0, False), "the first one stays"
    assert recipe.origin["changed"] == ["joint.margin=0.25"]
    assert (config(recipe).seed, config(recipe).joint.margin) == (7, 0.25)
    wrong = trial_recipe(several, trial="0").changed(["joint.epochs=0"])
    with pytest.raises(
        DistillTuneError, match=r"^assignments joint\.epochs=0: joint\.epochs: got 0"
    ):
        config(wrong)


def test_a_trial_is_trained_by_its_number(tmp_path: Path) -> None:
    directory = recorded(tmp_path, ONE, [("squeezenet1_1", 0.5), ("squeezenet1_1", 0.7)])
    out = tmp_path / "model"
    changes = [part for change in SHORT for part in ("--set", change)]
    command = ["train", "--study", directory.root, "--trial", "0", "--seed", "5", "--out", str(out)]
    result = CliRunner().invoke(app, [*command, *changes])
    assert result.exit_code == 0, result.output
    assert "warning: these are not the images of the study (digest d1, now " in result.stdout
    made = read_yaml(out / "model.yaml").value["made"]
    assert (made["study"], made["trial"]) == ("tiny", "squeezenet1_1-0000")
    assert (made["params"], made["seed"], made["changed"]) == ({RATIO: 0}, 5, SHORT)


@pytest.mark.parametrize(("given", "used"), [(None, 1), (3, 3)])
def test_a_trials_own_threads_are_used_and_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int | None, used: int
) -> None:
    seen: list[int] = []

    def train_model(*_: object, **__: object) -> dict[str, object]:
        seen.append(torch.get_num_threads())
        return {
            "paths": {name: name for name in ("weights", "generator", "model", "config")},
            VALUE: 0.5,
            "metric": "val/accuracy",
            "value": 0.5,
        }

    monkeypatch.setattr("distill_tune.training.train.train_model", train_model)
    directory = recorded(tmp_path, ONE, [("squeezenet1_1", 0.5)])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(directory.root, tmp_path / "a", threads=given, progress=False)
        threads = [] if given is None else ["--threads", str(given)]
        command = ["train", "--study", directory.root, "--out", str(tmp_path / "b"), *threads]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert (seen, torch.get_num_threads()) == ([used, used], 2)
    finally:
        torch.set_num_threads(before)
