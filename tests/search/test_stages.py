"""Shared stages: which trials share them, and what their keys depend on."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.config import parse, read_yaml_text
from distill_tune.distill.trial import Trial
from distill_tune.seal import seal
from distill_tune.search.stages import (
    SharedStage,
    StageResult,
    adopt_stages,
    compute_stage,
    file_name,
    is_shared,
    stage_key,
    stage_name,
    stored_stage,
)
from distill_tune.study import Study
from tests.commands import STUDY

CPU = torch.device("cpu")
STAGES: tuple[SharedStage, ...] = ("classifier", "warmup")


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(Study, read_yaml_text(STUDY, "tiny.yaml"))


@pytest.mark.parametrize(
    ("paths", "classifier", "warmup"),
    [
        ([], True, True),
        (["joint.margin", "joint.gan_lr"], True, True),
        (["classifier.lr"], False, True),
        (["gan.lr", "joint.margin"], True, False),
        (["gan.triplet_steps"], True, True),
        (["gan.triplet_steps", "gan.latent_dim", "classifier.shift"], False, False),
    ],
)
def test_a_stage_is_shared_unless_one_of_its_fields_is_searched(
    paths: list[str], classifier: bool, warmup: bool
) -> None:
    assert is_shared("classifier", paths) is classifier
    assert is_shared("warmup", paths) is warmup


def key(study: Study, stage: SharedStage, backbone: str, **params: object) -> str:
    named = {name.replace("__", "."): value for name, value in params.items()}
    return stage_key(stage, study.trial_config(backbone, named), "digest", CPU)


def test_the_keys_depend_on_what_the_products_depend_on(study: Study) -> None:
    one, other = (backbone.name for backbone in study.backbones)
    for stage in STAGES:
        assert key(study, stage, one) == key(study, stage, one, joint__margin=0.1)
        assert key(study, stage, one) != key(study, stage, one, seed=1)
    assert key(study, "classifier", one) != key(study, "classifier", other)
    assert key(study, "warmup", one) == key(study, "warmup", other)
    assert key(study, "classifier", one) != key(study, "classifier", one, classifier__lr=0.5)
    assert key(study, "warmup", one) == key(study, "warmup", one, classifier__lr=0.5)
    assert key(study, "warmup", one) != key(study, "warmup", one, gan__lr=0.5)
    assert key(study, "warmup", one) == key(study, "warmup", one, gan__triplet_steps=9)


def test_a_stage_is_computed_and_then_found(study: Study, tmp_path: Path) -> None:
    config, images = study.trial_config("squeezenet1_1", {}), study.data.load()
    for stage in STAGES:
        *reports, result = compute_stage(stage, config, images, str(tmp_path), CPU)
        assert isinstance(result, StageResult)
        assert (result.name, result.cached) == (stage_name(stage, config), False)
        assert len(reports) == {"classifier": 2, "warmup": 10}[stage]
        assert (tmp_path / file_name(stage, result.key)).exists()
        stored = stored_stage(stage, config, images.digest, str(tmp_path), CPU)
        assert stored is not None
        assert set(torch.load(io.BytesIO(stored), weights_only=True)) == {"product", "reports"}


def test_a_trial_with_the_products_of_others_goes_on_as_if_they_were_its_own(
    study: Study, tmp_path: Path
) -> None:
    config, images = study.trial_config("squeezenet1_1", {}), study.data.load()
    for stage in STAGES:
        list(compute_stage(stage, config, images, str(tmp_path), CPU))
    alone, adopting = Trial(config, images, CPU), Trial(config, images, CPU)
    told, warnings = adopt_stages(adopting, images.digest, str(tmp_path))
    assert warnings == []
    first = [(r.stage, r.step, r.metrics) for r in alone.run()]
    adopted = [(r.stage, r.step, r.metrics) for r in (*told, *adopting.run())]
    assert adopted == first


@pytest.mark.parametrize("damage", [b"", b"\x00", b"{}\n"])
def test_a_damaged_product_is_named_and_computed_anew(
    study: Study, tmp_path: Path, damage: bytes
) -> None:
    config, images = study.trial_config("squeezenet1_1", {}), study.data.load()
    *_, result = compute_stage("warmup", config, images, str(tmp_path), CPU)
    assert isinstance(result, StageResult)
    path = tmp_path / file_name("warmup", result.key)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + damage + whole[len(whole) // 2 + len(damage) :][1:])
    with pytest.raises(ValueError, match=f"{path}: damaged: got "):
        stored_stage("warmup", config, images.digest, str(tmp_path), CPU)
    trial = Trial(config, images, CPU)
    told, (warning,) = adopt_stages(trial, images.digest, str(tmp_path))
    assert (told, trial.state.gan.step) == ([], 0)
    assert warning.startswith(f"{path}: damaged: ")
    assert warning.endswith("; the trial computes its own")
    list(compute_stage("warmup", config, images, str(tmp_path), CPU))
    assert stored_stage("warmup", config, images.digest, str(tmp_path), CPU) is not None


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.path), os.O_CREAT)


def test_a_pickle_in_the_place_of_a_product_is_refused_and_not_run(
    study: Study, tmp_path: Path
) -> None:
    config, images = study.trial_config("squeezenet1_1", {}), study.data.load()
    key = stage_key("classifier", config, images.digest, CPU)
    file = tmp_path / file_name("classifier", key)
    file.parent.mkdir()
    buffer = io.BytesIO()
    torch.save({"product": Touch(tmp_path / "ran"), "reports": []}, buffer)
    file.write_bytes(seal(buffer.getvalue()))
    told, (warning,) = adopt_stages(Trial(config, images, CPU), images.digest, str(tmp_path))
    assert told == []
    assert warning.startswith(f"{file}: holds other things than tensors and plain data")
    assert not (tmp_path / "ran").exists()
