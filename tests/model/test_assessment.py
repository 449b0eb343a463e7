"""How well a model knows images: worked by hand, and the images that a user names."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.datasets import unsealed
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.interfaces import Split
from distill_tune.model import Model, load_model
from distill_tune.model.assessed_images import TEST_READ, assessed_images
from distill_tune.model.assessment import Assessment, ClassScore, assess, confusions
from distill_tune.model.folder import model_config
from distill_tune.study.validation import read_yaml, to_yaml
from tests.model.made import description, mixed_photos, photo, write_model
from tests.training.tiny import Trained


class Told(nn.Module):
    """A classifier that reads its answer off the first pixel: class k where it is k."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(1))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        answers = ((images[:, 0, 0, 0] + 1) * 127.5).round().long()
        return nn.functional.one_hot(answers, 4).float() * 9


def assessed(labels: list[int], answers: list[int]) -> Assessment:
    images = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(answers, dtype=torch.uint8)
    told: Any = Told()
    model = Model(Path(), told, ("a", "b", "c", "d"), None, "")  # type: ignore[arg-type]
    return assess(model, Split(images, torch.tensor(labels)))


def test_scores_are_those_worked_by_hand() -> None:
    found = assessed([0, 0, 0, 0, 1, 1, 3], [0, 0, 1, 3, 1, 0, 3])
    assert found.num_images == 7
    assert found.accuracy == pytest.approx(4 / 7)
    assert found.balanced_accuracy == pytest.approx((2 / 4 + 1 / 2 + 1) / 3)
    assert found.confusion == [[2, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    a, b, c, d = found.classes
    assert a == ClassScore("a", 4, 2 / 3, 0.5, 4 / 7)
    assert b == ClassScore("b", 2, 0.5, 0.5, 0.5)
    assert c == ClassScore("c", 0, None, None, None)
    assert d == ClassScore("d", 1, 0.5, 1.0, 2 / 3)
    assert [(one.name, one.taken_for, one.times, one.share) for one in confusions(found, 2)] == [
        ("a", "b", 1, 0.25),
        ("a", "d", 1, 0.25),
    ]


def test_a_class_that_nothing_is_taken_for_has_recall_0_and_no_precision() -> None:
    assert assessed([0, 2], [0, 0]).classes[2] == ClassScore("c", 1, None, 0.0, 0.0)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_its_own_validation_split_gives_the_accuracy_that_training_told(trained: Trained) -> None:
    status, stdout, stderr = run(trained.folder, "--json")
    assert status == 0
    said = json.loads(stdout)
    assert said["data"] == "digits, validation split"
    assert said["accuracy"] == trained.result["validation_accuracy"]
    assert said["balanced_accuracy"] == trained.result["metrics"]["val/balanced_accuracy"]
    assert sum(map(sum, said["confusion"])) == said["num_images"] == 100
    assert [one["name"] for one in said["classes"]] == list("0123456789")
    assert all(len(line) <= 80 for line in stderr.splitlines()[1:])
    assert f"accuracy {said['accuracy']:.4f}" in stderr
    assert "agreement" in stderr
    for one in said["classes"]:
        assert 0 <= one["recall_stage_one"] <= 1
        assert 0 <= one["agreement"] <= 1 < 1 + one["diversity"]


def test_the_test_split_is_read_only_by_its_name_and_that_is_told(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, stdout, _ = run(trained.folder, "--split", "test")
    assert status == 0
    assert stdout.startswith(f"warning: {TEST_READ}\n{trained.folder} on digits, test split\n")

    def refuse(_: object) -> None:
        pytest.fail("the test split was opened")

    monkeypatch.setattr("distill_tune.datasets.source.ImageSource.load_test", refuse)
    for split in ([], ["--split", "val"], ["--split", "train"]):
        status, stdout, _ = run(trained.folder, *split)
        assert status == 0
        assert "warning" not in stdout


def test_a_folder_is_read_as_the_data_set_reads_it(tmp_path: Path) -> None:
    folder = mixed_photos(tmp_path / "photos")
    for channels in (1, 3):
        said = description(["bee", "猫", "ant", "dog"], channels)
        model = load_model(write_model(tmp_path / f"model{channels}", said))
        found = assessed_images(model, folder, None)
        assert found.remarks[0].startswith("1 unreadable files left out, such as bee/broken.png: ")
        pool = Folder(kind="folder", root=str(folder), image_size=8).read("train")
        order = [("bee", "猫", "ant").index(pool.classes[label]) for label in pool.labels]
        assert found.split.labels.tolist() == order
        if channels == 3:
            assert np.array_equal(found.split.images.numpy(), pool.images)
        assert found.split.images.shape[1] == channels


def test_an_npz_is_matched_by_the_names_of_its_classes(here: Path) -> None:
    model = load_model(write_model(here / "model", description(["ant", "bee"])))
    images = np.stack([photo(seed, 8, 8) for seed in range(4)])
    np.savez("named.npz", x=images, y=[0, 1, 1, 0], classes=["bee", "ant"])
    found = assessed_images(model, Path("named.npz"), None)
    assert found.split.labels.tolist() == [1, 0, 0, 1]
    assert np.array_equal(found.split.images.numpy(), images.transpose(0, 3, 1, 2))
    np.savez("parts.npz", x_train=images, y_train=["ant"] * 4, x_val=images, y_val=["bee"] * 4)
    assert assessed_images(model, Path("parts.npz"), "val").split.labels.tolist() == [1] * 4


@pytest.fixture
def own(here: Path) -> Path:
    """Return a model made from ``cells/`` with a test part of its own."""
    for seed, part in enumerate(("train", "test")):
        mixed_photos(here / "cells" / part, seed=50 * seed)
    model = write_model(here / "model", description(["ant", "bee", "猫"]))
    data = {"kind": "folder", "root": str(here / "cells"), "image_size": 8, "val_per_class": 2}
    config = {"data": data, "backbone": "squeezenet1_1"}
    (model / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    return model


def test_its_own_folder_gives_the_validation_split_by_whatever_path(own: Path) -> None:
    Path("link").symlink_to("cells")
    for data in (None, Path("cells"), Path("link"), Path("model/../cells")):
        found = assessed_images(load_model(own), data, None)
        assert found.name == "cells, validation split"
        assert len(found.split.labels) == 6


def test_its_own_test_images_are_refused_by_whatever_path(own: Path) -> None:
    Path("link").symlink_to("cells/test")
    for path in ("cells/test", "link", "cells/train/../test", "cells/test/ant"):
        message = (
            f"--data: got {path}, the sealed test images of the data that the model was made from, "
            "expected --split test instead, which asks for them explicitly\n"
        )
        assert run(own, "--data", path) == (2, "", message)
    status, stdout, _ = run(own, "--split", "test")
    assert (status, "this reads the test split" in stdout) == (0, True)
    status, stdout, _ = run(own, "--data", "cells/train")
    assert "images of cells/train are training images of the model's own data\n" in stdout
    assert "images of cells/train are validation images of the model's own data\n" in stdout
    # A copy without the configuration does not know what it was made from.
    (own / "config.yaml").unlink()
    assert run(own, "--data", "cells/test")[0] == 0


@pytest.mark.parametrize(
    ("root", "path", "split"),
    [("cells", "cells/train", None), ("cells/train", "cells", "train")],
)
def test_sealed_test_images_are_left_out_wherever_they_lie(
    here: Path, root: str, path: str, split: Part | None
) -> None:
    mixed_photos(here / "cells" / "train")
    model = write_model(here / "model", description(["ant", "bee", "猫"]))
    data = {"kind": "folder", "root": str(here / root), "image_size": 8, "val_per_class": 1}
    config = {"data": {**data, "test_fraction": 0.3}, "backbone": "squeezenet1_1"}
    (model / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    found = assessed_images(load_model(model), Path(path), split)
    with unsealed():
        test = model_config(model).data.load_test()
    sealed = {image.numpy().tobytes() for image in test.images}
    assert not {image.numpy().tobytes() for image in found.split.images} & sealed
    # Two files may hold the same pixels.
    num_left_out = 18 - len(found.split.labels)
    assert len(test.labels) <= num_left_out < 18
    (told,) = [text for text in found.remarks if "sealed" in text]
    assert told.startswith(f"{num_left_out} of 18 images of {path} left out: sealed test images")


def test_images_beside_its_own_are_not_called_its_own(own: Path) -> None:
    mixed_photos(Path("cells/new"), seed=20)
    _, stdout, _ = run(own, "--data", "cells/new")
    assert "of the model's own data" not in stdout


def test_other_images_under_the_same_name_are_told(trained: Trained, tmp_path: Path) -> None:
    changed = tmp_path / "model"
    shutil.copytree(trained.folder, changed)
    config = read_yaml(changed / "config.yaml").value
    config["data"]["seed"] = 1
    (changed / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert "warning: these are not the images that the model was made from" in run(changed)[1]
    config["data"]["image_size"] = 10
    (changed / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert run(changed) == (
        2,
        "",
        f"{changed / 'config.yaml'}: got images of 1x10x10, expected 1x8x8, as the model takes\n",
    )


MISTAKES = {
    "--data photo": "--data: got 'photo', expected a file or a folder that exists. Did you mean "
    "'photos'?",
    "--data photos": "--data: got images of classes that the model does not know: '猫', expected "
    "only those that it knows: 'ant', 'bee'",
    "--data photos --split val": "--data: got photos, which has no parts, expected no --split: all "
    "of its images are taken",
    "--data parts": "--data: got parts, which has the parts test, train, expected --split with one "
    "of test, train",
    "--data parts --split val": "--data: got parts, which has the parts test, train, not val, "
    "expected --split with one of test, train",
    "--data hollow": "--data: got no image in hollow, expected images",
    "--data notes.npz": "--data: got ",
    "--data parts.npz": "--data: got parts.npz, which has the parts train, val, expected --split "
    "with one of train, val",
    "": "file: got 'model/config.yaml', expected a file that exists",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_mistake_is_named(here: Path, options: str) -> None:
    write_model(here / "model", description(["ant", "bee"]))
    mixed_photos(here / "photos")
    for name in ("parts/train/ant", "parts/test/ant", "hollow/ant"):
        Path(name).mkdir(parents=True)
    Path("notes.npz").write_text("no arrays")
    images = np.stack([photo(seed, 8, 8) for seed in range(2)])
    np.savez("parts.npz", x_train=images, y_train=["ant"] * 2, x_val=images, y_val=["bee"] * 2)
    status, stdout, stderr = run("model", *options.split())
    assert (status, stdout) == (2, "")
    assert stderr.startswith(MISTAKES[options])
    if stderr != MISTAKES[options] + "\n":
        assert MISTAKES[options] == "--data: got "
        assert "expected an .npz file as numpy.savez writes it" in stderr
