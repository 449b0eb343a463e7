"""One configuration trained to the end, and the model that it leaves."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.config import parse, read_yaml
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError
from distill_tune.training import load_classifier, train_model

from .commands import TRIAL

CONFIG = f"""\
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbone: squeezenet1_1
{TRIAL.removeprefix("trial:").replace(chr(10) + "  ", chr(10)).lstrip()}"""
SHORT = ["classifier.epochs=1", "joint.epochs=1", "gan.warmup_steps=2"]


class Trained(NamedTuple):
    """A model, what was said of it, and the lines that were said meanwhile."""

    folder: Path
    result: dict[str, Any]
    lines: list[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    config = folder / "best.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    lines: list[str] = []
    result = train_model(config, folder / "model", SHORT, say=lines.append)
    return Trained(folder / "model", result, lines)


def test_the_model_folder_holds_what_the_result_names(trained: Trained) -> None:
    assert set(trained.result["paths"]) == {"weights", "generator", "model", "config"}
    for path in trained.result["paths"].values():
        assert Path(path).is_absolute()
        assert Path(path).parent == trained.folder
    names = {Path(path).name for path in trained.result["paths"].values()}
    assert {path.name for path in trained.folder.iterdir()} == names


def test_every_stage_says_how_far_it_is(trained: Trained) -> None:
    stages = [line.partition(":")[0] for line in trained.lines]
    assert list(dict.fromkeys(stages)) == ["classifier", "warmup", "triplet", "joint"]
    assert trained.lines[-1].startswith("joint: 1/1  val/accuracy 0.")


def test_the_model_knows_its_classes_and_what_it_was_trained_on(trained: Trained) -> None:
    model = json.loads((trained.folder / "model.json").read_text())
    assert model["classes"] == [str(digit) for digit in range(10)]
    assert model["backbone"]["name"] == "squeezenet1_1"
    assert (model["transforms"]["channels"], model["transforms"]["image_size"]) == (1, 8)
    assert model["validation_accuracy"] == trained.result["validation_accuracy"]


def test_the_configuration_in_the_folder_trains_the_same_model_again(
    trained: Trained, tmp_path: Path
) -> None:
    again = train_model(trained.folder / "config.yaml", tmp_path / "again", [], say=print)
    assert again["validation_accuracy"] == trained.result["validation_accuracy"]
    for name in ("classifier.safetensors", "generator.safetensors"):
        one, other = load_file(trained.folder / name), load_file(tmp_path / "again" / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_weights_read_back_give_the_accuracy_that_was_told(trained: Trained) -> None:
    classifier, classes = load_classifier(trained.folder)
    images = parse(TrialConfig, read_yaml(trained.folder / "config.yaml")).data.load()
    assert classes == images.classes
    with torch.no_grad():
        logits = classifier(images.val.images.float() / 127.5 - 1)
    assert logits.shape == (100, 10)
    accuracy = (logits.argmax(1) == images.val.labels).float().mean().item()
    assert accuracy == pytest.approx(trained.result["validation_accuracy"])


def test_the_read_back_classifier_is_in_eval_mode(trained: Trained) -> None:
    assert not load_classifier(trained.folder)[0].training


def test_nothing_is_left_when_the_configuration_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "best.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    with pytest.raises(InputError, match=r"--set joint\.epochs=0: joint\.epochs: got 0, expected"):
        train_model(config, tmp_path / "model", ["joint.epochs=0"], say=print)
    assert not (tmp_path / "model").exists()


def test_an_empty_folder_is_as_good_as_a_new_one(tmp_path: Path) -> None:
    config, out = tmp_path / "best.yaml", tmp_path / "model"
    config.write_text(CONFIG, encoding="utf-8")
    out.mkdir()
    short = [part for change in SHORT for part in ("--set", change)]
    command = ["train", "--config", str(config), "--out", str(out), *short, "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert Path(said["paths"]["weights"]).exists()
    assert f"written: {out / 'model.json'}" in result.stderr.splitlines()
