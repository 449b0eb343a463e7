"""What a model takes image files for: as the data sets read them, and what cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.datasets.folder import Folder
from distill_tune.distill.augmentation import to_float
from distill_tune.interfaces import ImageData, ValueRanges
from distill_tune.model import Model, load_model
from distill_tune.model import prediction as prediction_module
from distill_tune.model.assessed_images import assessed_images
from distill_tune.model.prediction import predict
from tests.model.made import description, mixed_photos, write_model


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_files_are_seen_as_the_data_set_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = mixed_photos(tmp_path / "photos")
    model = load_model(write_model(tmp_path / "model", description(["ant", "bee", "猫"])))
    pool = Folder(kind="folder", root=str(photos), image_size=8).read("train")
    logits = model.classifier(to_float(torch.from_numpy(pool.images)))
    expected = logits.softmax(1)
    monkeypatch.setattr(prediction_module, "_CHUNK", 4)
    files = [photos / name for name in pool.names]
    found = list(predict(model, files, 3))
    assert [one.file for one in found] == [str(file) for file in files]
    for one, row in zip(found, expected.tolist(), strict=True):
        told = {guess.name: guess.probability for guess in one.guesses}
        assert told == pytest.approx(dict(zip(model.classes, row, strict=True)), abs=1e-5)
        assert [guess.probability for guess in one.guesses] == sorted(told.values(), reverse=True)


def test_deep_files_are_scaled_as_a_data_set_scales_them(here: Path) -> None:
    model = load_model(write_model(here / "model", description(["ant", "bee"], 1)))
    ranges = ValueRanges(eight_bit=(0, 255))
    model = model._replace(transforms=model.transforms.model_copy(update={"value_range": ranges}))
    random = np.random.default_rng(0)
    for number in range(3):
        values = random.integers(0, 256, (8, 8), dtype=np.uint8)
        values[0, :2] = 0, 255
        for folder, image in (("flat", values), ("deep", values.astype(np.uint16) * 16)):
            Path(folder, "ant").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(Path(folder, "ant", f"{number}.png"))
    flat, deep = (sorted(Path(name).rglob("*.png")) for name in ("flat", "deep"))
    told = [[one.guesses[0].probability for one in predict(model, files)] for files in (flat, deep)]
    assert told[0] == pytest.approx(told[1], abs=0.05)
    pixels = [assessed_images(model, Path(name), None).split.images for name in ("flat", "deep")]
    assert (pixels[0].int() - pixels[1].int()).abs().max() <= 1


def test_a_path_is_told_as_it_was_given(here: Path) -> None:
    model = write_model(here / "model", description(["ant", "bee"], 1))
    name = "e\u0301.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(name)
    _, stdout, _ = run(model, name, "--json")
    assert json.loads(stdout)[0]["file"] == name


def test_a_grey_file_is_seen_as_the_grey_image_that_it_holds(
    model: Model, digits: ImageData, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(len(digits.val.labels))]
    for file, image in zip(files, digits.val.images.numpy(), strict=True):
        Image.fromarray(image[0]).save(file)
    found = [one.guesses[0].probability for one in predict(model, files)]
    expected = model.classifier(to_float(digits.val.images)).softmax(1).amax(1)
    assert found == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_line_tells_file_class_and_probability_and_what_is_unreadable(here: Path) -> None:
    write_model(here / "model", description(["ant", "bee", "猫"]))
    mixed_photos(here / "photos")
    Path("notes.txt").write_text("no image")
    status, stdout, stderr = run("model", "photos/bee", "notes.txt", "--top", "9")
    assert status == 2
    assert stderr.splitlines() == [
        "photos/bee/broken.png: unreadable: Truncated File Read",
        "notes.txt: unreadable: not an image that Pillow can read",
        "2 of 8 files could not be read",
    ]
    lines = [line.split() for line in stdout.splitlines()]
    assert [line[0] for line in lines] == [
        f"photos/bee/{name}"
        for name in ("clear.png", "deep.png", "exact.bmp", "grey.png", "palette.gif", "turned.jpg")
    ]
    for line in lines:
        assert set(line[1::2]) == {"ant", "bee", "猫"}
        assert sum(map(float, line[2::2])) == pytest.approx(1, abs=2e-4)
    status, stdout, stderr = run("model", "photos/bee", "--json")
    said = json.loads(stdout)
    assert (status, len(said)) == (2, 7)
    assert said[0] == {"file": "photos/bee/broken.png", "error": "Truncated File Read"}
    assert said[1]["guesses"][0]["name"] == lines[0][1]


def test_only_readable_files_end_well(here: Path) -> None:
    write_model(here / "model", description(["ant", "bee"]))
    mixed_photos(here / "photos")
    status, stdout, stderr = run("model", "photos/ant/grey.png", "photos/猫")
    assert (status, stderr, len(stdout.splitlines())) == (0, "", 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("model photo", "IMAGES: got 'photo', expected a file or a folder that exists. Did you "),
        ("model hollow", "IMAGES: got hollow without image files, expected images"),
        (
            "modle photos",
            "MODEL: got 'modle', expected a model folder (with model.yaml). Did you mean 'model'?",
        ),
        (". photos", "MODEL: got '.', expected a model folder (with model.yaml), such as model"),
        ("photos photos", "MODEL: got 'photos', expected a model folder (with model.yaml)\n"),
        ("model photos --device cuda:99", "--device: got 'cuda:99', expected cpu"),
        (f"model {'x' * 300}", f"IMAGES: got {'x' * 300} (File name too long), expected a path"),
    ],
)
def test_a_mistake_is_named(here: Path, arguments: str, message: str) -> None:
    write_model(here / "model", description(["ant", "bee"]))
    mixed_photos(here / "photos")
    Path("hollow").mkdir()
    status, stdout, stderr = run(*arguments.split())
    assert (status, stdout) == (2, "")
    assert stderr.startswith(message)


def test_an_array_file_is_told_which_command_takes_it(here: Path) -> None:
    model = write_model(here / "model", description(["ant", "bee"], 1))
    np.savez("set.npz", x=np.zeros((2, 8, 8), dtype=np.uint8), y=[0, 1])
    told = (
        "IMAGES: got 'set.npz', expected image files, or folders of them; `evaluate` with --data "
        "takes an .npz with labels\n"
    )
    assert run(model, "set.npz") == (2, "", told)
