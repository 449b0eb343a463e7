"""A model folder from a stranger: read, or refused by a message; nothing in it is run."""

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.backbones.pointwise_layers import whole_weights
from distill_tune.errors import DistillTuneError
from distill_tune.model import load_classifier, load_generator, load_model
from distill_tune.study.validation import to_yaml

MODEL: dict[str, Any] = {
    "distill_tune": "0.0.1",
    "backbone": {
        "name": "squeezenet1_1",
        "stem": "imagenet",
        "input_size": 32,
        "pretrained": False,
    },
    "classes": ["ant", "bee", "猫 😀"],
    "transforms": {"channels": 3, "image_size": 8, "resize": "...", "range": "..."},
    "data": {"name": "folder", "digest": "0"},
}


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.path), os.O_CREAT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder, MODEL)
    torch.manual_seed(0)
    classifier = Backbone(**MODEL["backbone"]).build(num_classes=3, channels=3, image_size=8)
    weights = {
        name: value.contiguous()
        for name, value in whole_weights(classifier, classifier.state_dict()).items()
    }
    save_file(weights, folder / "classifier.safetensors")
    return folder


def write(folder: Path, model: object) -> None:
    (folder / "model.yaml").write_text(to_yaml(model), encoding="utf-8")


def changed(**changes: Any) -> dict[str, Any]:
    return {**MODEL, **changes}


def message(folder: Path) -> str:
    with pytest.raises(DistillTuneError) as caught:
        load_classifier(folder)
    return str(caught.value)


def test_a_folder_with_both_files_is_enough(folder: Path) -> None:
    classifier, classes = load_classifier(folder)
    assert classes == ("ant", "bee", "猫 😀")
    assert classifier(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_a_model_of_thousands_of_classes_is_read(folder: Path) -> None:
    names = [f"Genus species {number}" for number in range(3000)]
    numbers = {"num_train": 5, "num_val": 1, "recall_stage_one": 0.5, "recall": 0.25}
    write(folder, changed(classes=names, by_class=dict.fromkeys(names, numbers)))
    # Its weights are those of three classes: the description was read.
    assert "classifier.safetensors: got no weights of this classifier" in message(folder)


@pytest.mark.parametrize("write_pickle", [pickle.dump, torch.save])
def test_a_pickle_for_weights_is_refused_and_not_run(
    folder: Path, tmp_path: Path, write_pickle: Any
) -> None:
    ran, file = tmp_path / "ran", folder / "classifier.safetensors"
    with file.open("wb") as stream:
        write_pickle({"head.weight": Touch(ran)}, stream)
    assert message(folder).startswith(f"{file}: got no weights of this classifier (")
    assert not ran.exists()
    content = io.BytesIO(file.read_bytes())
    if write_pickle is torch.save:
        torch.load(content, weights_only=False)
    else:
        pickle.load(content)  # noqa: S301 - to see that it would have done something
    assert ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 64,
        b"\xff" * 64,
        b"\x10\0\0\0\0\0\0\0" + b'{"a":{"dtype":1}}',
        b"\x02\0\0\0\0\0\0\0{}",
    ],
)
def test_damaged_weights_are_named(folder: Path, content: bytes) -> None:
    file = folder / "classifier.safetensors"
    file.write_bytes(content)
    assert message(folder).startswith(f"{file}: got no weights of this classifier (")
    file.unlink()
    assert message(folder).startswith(f"{file}: got no weights of this classifier (")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"backbone": "resnet5o"},
            "backbone.name: got 'resnet5o', expected a classification model",
        ),
        ({"backbone": {"name": "os.system"}}, "backbone.name: got 'os.system', expected a class"),
        ({"backbone": {"name": 7}}, "backbone.name: got 7 (a whole number), expected text"),
        ({"backbone": 7}, "backbone: got 7 (a whole number), expected a mapping"),
        ({"backbone": None}, "backbone: got nothing (null), expected a mapping"),
        (
            {"backbone": {"name": "alexnet", "weight": "x"}},
            "backbone: got 'weight', expected one of the keys",
        ),
        (
            {"backbone": {"name": "alexnet", "input_size": 10**9}},
            "backbone.input_size: got 1000000000, expected a number <= 1024",
        ),
        (
            {"backbone": {"name": "alexnet", "stem": "imagenet", "input_size": 16}},
            "backbone: got alexnet at 16 px, which it cannot take",
        ),
        ({"classes": "ant"}, "classes: got 'ant' (text), expected a list, such as [ant]"),
        ({"classes": {"ant": 0, "bee": 1}}, "classes: got {'ant': 0, 'bee': 1} (a mapping), exp"),
        ({"classes": []}, "classes: got [] (a list), expected a list of at least 2"),
        ({"classes": ["ant", 7]}, "classes.1: got 7 (a whole number), expected text"),
        ({"classes": ["ant", ["bee"]]}, "classes.1: got ['bee'] (a list), expected text"),
        ({"transforms": {"channels": 3}}, "transforms.image_size: got nothing, expected this key"),
        (
            {"transforms": {"channels": 2, "image_size": 8}},
            "transforms.channels: got 2, expected one of 1, 3",
        ),
        (
            {"transforms": {"channels": 3, "image_size": 2**64}},
            f"transforms.image_size: got {2**64}, expected a whole number of at most",
        ),
        ({"transforms": []}, "transforms: got [] (a list), expected a mapping"),
    ],
)
def test_a_description_that_means_nothing_is_named(
    folder: Path, change: dict[str, Any], complaint: str
) -> None:
    write(folder, changed(**change))
    place, _, said = message(folder).partition(": ")
    assert re.fullmatch(re.escape(str(folder / "model.yaml")) + r":\d+:\d+", place)
    assert said.startswith(complaint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": got an empty file, expected a mapping"),
        ("{a: 1", ":1:6: YAML: got a syntax error (while parsing a flow mapping"),
        ("[" * 100_000, ": YAML: got values nested without end"),
        ("[1]", ":1:1: top level: got [1] (a list), expected a mapping"),
        ("classes: " + "[" * 80 + "]" * 80, ": YAML: got values nested without end"),
        ("a: &a [x]\nclasses: *b", ":2:10: YAML: got a syntax error (found undefined alias"),
        ("classes: !!python/tuple [a, b]", ":1:10: classes: got the tag "),
    ],
)
def test_a_description_that_is_no_yaml_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    assert message(folder).startswith(f"{folder / 'model.yaml'}{said}")


@pytest.mark.parametrize("name", ["model.yaml", "config.yaml"])
def test_a_tag_that_would_run_code_is_refused_and_not_run(
    folder: Path, tmp_path: Path, name: str
) -> None:
    ran = tmp_path / "ran"
    text = f"backbone: !!python/object/apply:os.open ['{ran}', {os.O_CREAT}]\n"
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(DistillTuneError, match="backbone: got the tag "):
        load_generator(load_model(folder))
    assert not ran.exists()
    yaml.unsafe_load(text)
    assert ran.exists()


def test_a_folder_without_a_description_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.yaml").unlink()
    for place in (folder, tmp_path / "nowhere"):
        assert re.fullmatch(
            r"folder: got .*, expected a model folder \(with model.yaml\)", message(place)
        )


def test_weights_of_another_network_are_named(folder: Path) -> None:
    write(folder, changed(classes=["ant", "bee"]))
    text = message(folder)
    assert text.startswith(
        f"{folder / 'classifier.safetensors'}: got no weights of this classifier"
    )
    assert "size mismatch for head.weight" in text


def test_a_pretrained_network_is_read_without_a_download_and_sees_what_it_was_trained_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a download")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    plain, _ = load_classifier(folder)
    write(folder, changed(backbone={**MODEL["backbone"], "pretrained": True}))
    pretrained, _ = load_classifier(folder)
    assert plain.get_buffer("mean").flatten().tolist() == [0.5]
    assert pretrained.get_buffer("mean").flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
