"""One configuration trained to the end, and the model that it leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DistillTuneError, DivergedError, InputError
from distill_tune.model import load_classifier
from distill_tune.study.validation import parse, read_yaml
from distill_tune.training.recipe import read_recipe
from distill_tune.training.train import train_model
from tests.training.tiny import CONFIG, FILES, SHORT, Trained, recipe, write_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    return Trained(recipe(folder), folder / "model")


def test_the_model_folder_holds_what_the_result_names(trained: Trained) -> None:
    assert set(trained.result["paths"]) == {"weights", "generator", "model", "config"}
    for path in trained.result["paths"].values():
        assert Path(path).is_absolute()
        assert Path(path).parent == trained.folder
    names = {Path(path).name for path in trained.result["paths"].values()}
    assert {path.name for path in trained.folder.iterdir()} == names == FILES


def test_every_stage_says_how_far_it_is(trained: Trained) -> None:
    stages = [report.stage for report in trained.reports]
    assert list(dict.fromkeys(stages)) == ["classifier", "warmup", "triplet", "joint"]
    assert trained.reports[-1].step == trained.reports[-1].num_steps == 2


def test_the_model_knows_its_classes_and_how_it_was_made(trained: Trained) -> None:
    model = read_yaml(trained.folder / "model.yaml").value
    assert model["classes"] == [str(digit) for digit in range(10)]
    assert model["backbone"]["name"] == "squeezenet1_1"
    assert (model["transforms"]["channels"], model["transforms"]["image_size"]) == (1, 8)
    assert model["transforms"]["value_range"]["eight_bit"] == [0, 255]
    assert model["metrics"] == trained.result["metrics"]
    assert (model["data"]["num_train"], model["data"]["num_val"]) == (60, 100)
    assert (model["made"]["epochs"], model["made"]["device"]) == (2, "cpu")
    accuracy = [report.metrics.get("val/accuracy") for report in trained.reports[-2:]]
    best = max(value for value in accuracy if value is not None)
    assert accuracy[model["made"]["epoch_of_the_weights"] - 1] == best
    assert model["metrics"]["val/accuracy"] == best == trained.result["validation_accuracy"]


def test_the_configuration_in_the_folder_trains_the_same_model_again(
    trained: Trained, tmp_path: Path
) -> None:
    Trained(read_recipe(trained.folder / "config.yaml"), tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (trained.folder / name).read_bytes()


def test_the_weights_read_back_give_the_accuracy_that_was_told(trained: Trained) -> None:
    classifier, classes = load_classifier(trained.folder)
    assert not classifier.training
    images = parse(TrialConfig, read_yaml(trained.folder / "config.yaml")).data.load()
    assert classes == images.classes
    with torch.no_grad():
        logits = classifier(images.val.images.float() / 127.5 - 1)
    assert logits.shape == (100, 10)
    accuracy = (logits.argmax(1) == images.val.labels).float().mean().item()
    assert accuracy == pytest.approx(trained.result["validation_accuracy"])


def test_nothing_is_left_when_the_configuration_is_wrong(tmp_path: Path) -> None:
    wrong = r"assignments joint\.epochs=0: joint\.epochs: got 0, expected"
    with pytest.raises(InputError, match=wrong):
        Trained(recipe(tmp_path, "joint.epochs=0"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_nothing_is_left_of_a_training_that_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"^diverged: the classifier's loss in epoch 1 is nan"):
        Trained(recipe(tmp_path, "classifier.lr=1e30"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_names_its_images_by_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.savez("images.npz", x=images, y=np.arange(200) % 10)
    data = "data={kind: npz, root: images.npz, train_per_class: 4, val_per_class: 2}"
    Trained(recipe(tmp_path, data, "joint.extra_images=none"), Path("model"))
    found = read_yaml(tmp_path / "model/config.yaml").value
    assert found["data"]["root"] == str(tmp_path / "images.npz")


def test_a_training_without_a_gan_leaves_no_generator(tmp_path: Path) -> None:
    done = Trained(recipe(tmp_path, "joint.extra_images=none"), tmp_path / "model")
    assert {path.name for path in done.folder.iterdir()} == FILES - {"generator.safetensors"}
    assert "generator" not in done.result["paths"]


@pytest.mark.parametrize("out", ["notes.txt/model", "x" * 300, "notes.txt", "full", "study"])
def test_a_model_that_could_not_be_written_is_not_trained(tmp_path: Path, out: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "full" / "photos").mkdir(parents=True)
    (tmp_path / "study" / "checkpoints" / "training").mkdir(parents=True)

    def fail(line: object) -> None:
        pytest.fail(f"trained: {line}")

    with pytest.raises(DistillTuneError, match=r"^out: got .*, expected a"):
        train_model(recipe(tmp_path), tmp_path / out, say=fail, listen=fail)


def test_an_empty_folder_is_as_good_as_a_new_one(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    short = [part for change in SHORT for part in ("--set", change)]
    config = str(write_config(tmp_path))
    command = ["train", "--config", config, "--out", str(out), *short, "--seed", "3", "--json"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert {Path(path).name for path in said["paths"].values()} == FILES
    lines = result.stderr.splitlines()
    assert f"written: {out / 'model.yaml'}" in lines
    assert f"  distill-tune evaluate {out}" in lines
    assert any(line.startswith("joint: 1/2  val/accuracy 0.") for line in lines)
    assert read_yaml(out / "config.yaml").value["seed"] == 3


MISTAKES = {
    "": "--config: got nothing, expected either --config FILE or --study STUDY_DIR",
    "--config best.yaml --study runs/a": "--config: got both --config and --study, expected either "
    "--config FILE or --study STUDY_DIR",
    "--config best.yaml --trial 3": "--trial: got '3', expected it with --study, not --config",
    "--config best.yaml --seed 3 --set classifier.epochs=0": "--set classifier.epochs=0: "
    "classifier.epochs: got 0, expected a number >= 1",
    "--config best.yaml --device gpu": "--device: got 'gpu', expected cpu",
    "--config bets.yaml": "file: got 'bets.yaml', expected a file that exists. Did you mean "
    "'best.yaml'?",
    "--study runs/a": "runs/a: no study here (no study.yaml)",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_left(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("best.yaml").write_text(CONFIG, encoding="utf-8")
    result = CliRunner().invoke(app, ["train", "--out", "model", *options.split()])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(MISTAKES[options])
    assert [path.name for path in tmp_path.iterdir()] == ["best.yaml"]


def test_a_generator_that_is_not_fit_is_named_when_its_warm_up_ends(trained: Trained) -> None:
    """After three steps none follows its classes."""
    (warning,) = [line for line in trained.lines if "not fit" in line]
    assert warning.startswith("warning: the generator is not fit after warmup: agreement 0.")
    assert "gan.max_warmup_steps" in warning


def test_a_training_without_memory_says_so_and_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's allocator raises a plain RuntimeError, unlike a GPU's."""

    def fail(*_: object) -> float:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr("distill_tune.training.train.evaluate", fail)
    with pytest.raises(DivergedError, match=r"^out_of_memory: squeezenet1_1 with batches of "):
        Trained(recipe(tmp_path), tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["unfinished_training"]
    monkeypatch.undo()
    assert "validation_accuracy" in Trained(recipe(tmp_path), tmp_path / "model").result
