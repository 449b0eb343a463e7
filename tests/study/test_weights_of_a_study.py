"""A study whose backbones start from local weights: positions of errors, digests, keys, names."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.backbones.pointwise_layers import whole_weights
from distill_tune.errors import InputError
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.opened_study import StudyRequest, open_new
from distill_tune.study.opening import read_study
from distill_tune.training.stages import ComputePlace, stage_key
from distill_tune.tuning.sampling.proposals import trial_name

STUDY = """\
study: tiny
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones:
  - {{name: squeezenet1_1, weights: {weights}, freeze: all}}
space:
  joint.margin: uniform(0.05, 0.9)
"""


def written(folder: Path, weights: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(STUDY.format(weights=weights))
    return file


def save_weights(file: Path, num_classes: int) -> None:
    build = Backbone(name="squeezenet1_1").build
    network = build(num_classes=num_classes, channels=1, image_size=8)
    whole = whole_weights(network, network.state_dict())
    save_file({n: one.contiguous() for n, one in whole.items()}, file)


def opened(file: Path, storage: Path) -> str:
    return open_new(
        StudyRequest(file, str(storage), [], {}), resume=False, allow_changed=False
    ).remark


def test_an_error_has_the_place_in_the_study(tmp_path: Path) -> None:
    file = written(tmp_path, "missing.safetensors")
    with pytest.raises(InputError) as caught:
        opened(file, tmp_path)
    assert str(caught.value).startswith(
        f"{file}:4:36: backbones.0.weights: got missing.safetensors, which cannot be read "
        "(it does not exist), expected a .safetensors file"
    )


def test_a_search_says_what_it_starts_from(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_weights(weights, 4)
    assert opened(written(tmp_path, str(weights)), tmp_path) == (
        f"squeezenet1_1: weights of {weights}; its head for 4 classes is left out, and a new one "
        "has the 10 classes of the data"
    )


def test_the_key_of_a_stage_has_the_content_of_the_weights_not_their_place(tmp_path: Path) -> None:
    keys = []
    for name, num_classes in (("one", 4), ("two", 4), ("three", 5)):
        weights = tmp_path / f"{name}.safetensors"
        save_weights(weights, num_classes)
        if name == "two":
            weights.write_bytes((tmp_path / "one.safetensors").read_bytes())
        study, _ = read_study(written(tmp_path, str(weights)), [], {})
        study = with_absolute_paths(study)
        assert len(study.backbones[0].weights_sha256 or "") == 64
        config = study.trial_config("squeezenet1_1", {})
        keys.append(stage_key("classifier", config, "digest", ComputePlace("cpu", 1)))
    assert keys[0] == keys[1] != keys[2]


def test_a_name_with_a_slash_is_one_part_of_a_path() -> None:
    assert trial_name({"backbone": "timm/resnet10t", "number": 7}) == "timm-resnet10t-0007"
