"""A project folder that has moved with its images: what is said, and the way on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distill_tune
from distill_tune import resume
from distill_tune.confirmation.commands import open_to_confirm
from distill_tune.errors import InputError, StudyError
from distill_tune.interfaces import plain
from distill_tune.model import load_model
from distill_tune.model.assessed_images import assessed_images
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.opened_study import StudyRequest, WarmStartRequest, open_new, open_stored
from distill_tune.study.opening import load_images, read_study
from distill_tune.study.study import Study
from distill_tune.study.validation import to_yaml
from distill_tune.training.recipe import read_recipe
from distill_tune.training.train import train_model
from tests.model.made import description, write_model
from tests.refusals import GOOD, refused

TEXT = GOOD.replace("study: bad", "study: s").replace(
    "{kind: digits, train_per_class: 20, val_per_class: 30}",
    "{kind: folder, root: cells, image_size: 8, test_fraction: 0.2}",
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_images(root: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Move a project after a study was begun in it, and go there; return the study."""
    old, new = tmp_path / "old", tmp_path / "new"
    write_images(old / "cells", 0)
    monkeypatch.chdir(old)
    Path("space.yaml").write_text(TEXT)
    typed, document = read_study(Path("space.yaml"), [], {})
    study = with_absolute_paths(typed)
    images = load_images(typed, document)
    directory = StudyDirectory("runs/s")
    directory.write_text("study.yaml", to_yaml(plain(study)))
    session = {"command": "search", "version": distill_tune.__version__, "study": plain(study)}
    directory.append({"event": "session_started", **session})
    directory.append({"event": "data", "digest": images.digest, "skipped": []})
    Path("runs/s/lock").touch()
    monkeypatch.chdir(tmp_path)
    old.rename(new)
    monkeypatch.chdir(new)
    return study


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_the_message_names_the_log_and_the_command_that_goes_on(
    tmp_path: Path, command: str
) -> None:
    said = refused(command, "runs/s")
    new = tmp_path / "new"
    assert said.startswith(f"{new / 'runs/s/events.jsonl'}: data.root: got '")
    assert "study.yaml" not in said, "it is only a copy: nothing is read from there"
    assert said.endswith(f"`distill-tune {command} runs/s --set data.root={new / 'cells'}`")


@pytest.mark.usefixtures("moved")
def test_python_is_told_its_own_word() -> None:
    with pytest.raises(InputError, match=r"assignments data\.root=PATH says where"):
        resume("runs/s", progress=False)


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("root", ["cells", "{}/new/cells"])
def test_a_study_goes_on_with_the_same_images_elsewhere(tmp_path: Path, root: str) -> None:
    place = [f"data.root={root.format(tmp_path)}"]
    for opened in (open_stored("runs/s", {}, place), open_to_confirm("runs/s", {}, place)):
        assert getattr(opened.study.data, "root", None) == str(tmp_path / "new/cells")
    request = StudyRequest(Path("space.yaml"), "runs", [], {}, WarmStartRequest())
    # Typed anew, a relative root leads elsewhere too: nobody needs to allow that.
    assert open_new(request, resume=True, allow_changed=False).study.study == "s"


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_other_images_are_refused_wherever_they_lie(command: str) -> None:
    write_images(Path("others"), 1)
    said = refused(command, "runs/s", "--set", "data.root=others")
    assert said.startswith("runs/s: got other images (digest ")


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_nothing_else_is_changed_by_the_way(command: str) -> None:
    changes = ["--set", "data.root=cells", "--set", "trial.joint.epochs=4"]
    said = refused(command, "runs/s", *changes).splitlines()
    heads = {
        "resume": "runs/s: the study was started with other settings:",
        "confirm": "runs/s: got other settings than the study was started with, expected another",
    }
    assert said[0].startswith(heads[command])
    assert "  trial.joint.epochs: 3 -> 4" in said


@pytest.mark.usefixtures("moved")
def test_confirm_refuses_more_before_it_looks_at_images() -> None:
    with pytest.raises(StudyError, match=r"search\.seed: 0 -> 1"):
        open_to_confirm("runs/s", {}, ["search.seed=1"])


@pytest.fixture
def model(moved: Study) -> Path:
    """Write a model that was made from the images where they lay before."""
    digest = open_stored("runs/s", {}, ["data.root=cells"]).images.digest
    said = description(["ant", "bee"])
    said["data"]["digest"] = digest
    folder = write_model(Path("model"), said)
    config = moved.trial_config("resnet18", {})
    (folder / "config.yaml").write_text(to_yaml(plain(config)))
    return folder


def test_a_model_is_judged_by_its_own_images_where_they_are_now(model: Path) -> None:
    said = refused("evaluate", "model")
    assert "--set data.root=PATH says where the images are" in said
    found = assessed_images(load_model(model), None, None, ["data.root=cells"])
    assert len(found.split.labels) > 0
    assert not any("not the images" in remark for remark in found.remarks)


@pytest.mark.usefixtures("model")
def test_a_model_is_not_judged_by_others_in_their_place() -> None:
    write_images(Path("others"), 1)
    said = refused("evaluate", "model", "--set", "data.root=others")
    assert "got other images (digest " in said
    assert "expected those that the model was made from" in said
    said = refused("evaluate", "model", "--set", "joint.epochs=1")
    assert said.startswith("--set: got 'joint.epochs=1', expected data.root=PATH")


def test_a_training_is_told_so_too(model: Path, tmp_path: Path) -> None:
    recipe = read_recipe(model / "config.yaml")
    with pytest.raises(InputError, match=r"`assignments data\.root=.*cells`"):
        train_model(recipe, tmp_path / "out", say=print)
    shutil.rmtree("cells")
    with pytest.raises(InputError, match=r"`assignments data\.root=PATH`"):
        train_model(recipe, tmp_path / "out", say=print)
