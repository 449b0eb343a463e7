"""The range of values of a data set: named in YAML, kept in a model, used for new images."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_tune.datasets import Dataset
from distill_tune.datasets.labelled_images import read_files
from distill_tune.errors import InputError, InputErrors
from distill_tune.interfaces import Config
from distill_tune.model import load_model
from distill_tune.model.assessed_images import assessed_images, form_of
from distill_tune.study.validation import parse, read_yaml, read_yaml_text
from tests.commands import ONE_AT_A_TIME, inside
from tests.field.images import noise, write_files
from tests.model.made import description, write_model

CLASSES = ("ant", "bee")
LABELS = np.arange(40) % 2


def test_a_model_keeps_the_range_for_new_images(tmp_path: Path) -> None:
    image = np.full((8, 8), 1000, dtype=np.uint16)
    write_files(tmp_path / "new", np.stack([image, image * 4, image * 60]))
    files = sorted((tmp_path / "new").iterdir())
    said = description(list(CLASSES))
    said["transforms"]["value_range"] = {"integers": [0, 4095]}
    model = load_model(write_model(tmp_path / "model", said))
    images, reasons = read_files(files, form_of(model))
    assert [int(one[0, 0, 0]) for one in images[:2]] == [62, 249]
    assert list(reasons) == [2]
    assert "beyond the range 0..4095" in reasons[2]
    older = load_model(write_model(tmp_path / "older", description(list(CLASSES))))
    assert [int(one[0, 0, 0]) for one in read_files(files, form_of(older))[0]] == [4, 16, 233]


def test_one_dim_file_is_as_dim_for_a_model(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 0.9, dtype=np.float32)).save(tmp_path / "dim.tif")
    said = description(list(CLASSES))
    said["transforms"]["value_range"] = {"floats": [0, 255]}
    model = load_model(write_model(tmp_path / "model", said))
    assert int(read_files([tmp_path / "dim.tif"], form_of(model))[0].max()) == 1


def test_other_images_are_judged_by_the_model_s_range(tmp_path: Path) -> None:
    said = description(list(CLASSES))
    said["transforms"]["value_range"] = {"integers": [0, 4095]}
    model = load_model(write_model(tmp_path / "model", said))
    images = noise(40, 1000).astype(np.uint16)
    path = tmp_path / "new.npz"
    np.savez(path, x=images, y=np.where(LABELS, "bee", "ant"))
    split = assessed_images(model, path, None).split
    assert float(split.images.float().mean()) == pytest.approx(500 / 4095 * 255, abs=2)


class Study(Config):
    """As much of a study as has a data set."""

    data: Dataset


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", "auto"),
        ("per_file", "per_file"),
        ("[0, 4095]", (0, 4095)),
        ("[-1, 1.5]", (-1, 1.5)),
    ],
)
def test_a_range_is_read_from_yaml(given: str, expected: object) -> None:
    text = f"data: {{kind: folder, root: a, value_range: {given}}}"
    study = parse(Study, read_yaml_text(text, "space.yaml"))
    assert vars(study.data)["value_range"] == expected


@pytest.mark.parametrize(
    "given", ["[5, 5]", "[9, 1]", "automatic", "[1]", "[0, .inf]", "3", "[a, b]", "{low: 1}"]
)
def test_a_range_that_is_none_is_refused(given: str) -> None:
    text = f"data: {{kind: npz, root: a, value_range: {given}}}"
    with pytest.raises((InputError, InputErrors)) as caught:
        parse(Study, read_yaml_text(text, "space.yaml"))
    for line in str(caught.value).splitlines():
        assert re.match(r"space\.yaml:1:\d+: data\.value_range\S*: got .+, expected .+", line)


@pytest.mark.slow
@pytest.mark.usefixtures("our_ray")
def test_a_search_tells_the_range_and_keeps_it_in_its_models(tmp_path: Path) -> None:
    for number, name in enumerate(CLASSES):
        images = 100 + noise(14, 20 + 20 * number, number)
        write_files(tmp_path / "images" / name, images.round().astype(np.uint16))
    short = ONE_AT_A_TIME.replace("epochs: 9", "epochs: 2").replace(
        "min_epochs: 8", "min_epochs: 2"
    )
    space = short.replace("num_trials: 3", "num_trials: 1").replace(
        "kind: digits, train_per_class: 6, val_per_class: 10",
        f"kind: folder, root: {tmp_path / 'images'}, image_size: 8",
    )
    (tmp_path / "space.yaml").write_text(space, encoding="utf-8")
    said = inside("search", "--space", str(tmp_path / "space.yaml"), "--storage", str(tmp_path))
    told = said.output.index("values: 0..255 (integers of more than 8 bits) become 0..255")
    named = said.output.index("training images use ")
    assert max(told, named) < said.output.index("shufflenet_v2_x0_5-0000")
    kept = list(tmp_path.glob("tiny/**/model.yaml"))
    assert kept
    for file in kept:
        assert read_yaml(file).value["transforms"]["value_range"]["integers"] == [0, 255]
