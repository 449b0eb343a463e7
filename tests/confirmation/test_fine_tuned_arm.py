"""The arm ``fine_tuned``: where its weights come from, and what is refused without them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from distill_tune.confirmation.plan import Plan, planned
from distill_tune.confirmation.tuned_arms import arm_study
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import InputError, InputErrors
from distill_tune.records.trials import TrialRecord
from distill_tune.study.absolute_paths import with_absolute_paths
from distill_tune.study.arms import ARMS
from distill_tune.study.extra_runs import control_runs, proposed_config
from distill_tune.study.opening import load_images
from distill_tune.study.study import Study
from distill_tune.study.validation import Document, parse, read_yaml_text
from tests.commands import STUDY

NAME = "squeezenet1_1"
TEXT = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", f"[{NAME}]")


def read(confirm: str) -> tuple[Study, Document]:
    document = read_yaml_text(f"{TEXT}confirm: {{{confirm}}}\n", "tiny.yaml")
    return parse(Study, document), document


def saved(folder: Path) -> Path:
    from torchvision import models

    file = folder / "weights.safetensors"
    save_file(models.squeezenet1_1(weights=None).state_dict(), file)
    return file


def config_of(study: Study, arm: str) -> TrialConfig:
    assert study.confirm is not None
    trial = TrialRecord(0, f"{NAME}-0000", NAME, {}, "complete", "", "", {}, 0.0, 1.0)
    plan = Plan(study, study.confirm, "digest", is_redrawn=False, tuned={})
    return next(run.config for run in plan.evidence({NAME: trial}) if run.arm.name == arm)


def test_the_arm_starts_from_the_given_weights_at_a_tenth_of_the_rate(tmp_path: Path) -> None:
    file = saved(tmp_path)
    typed, document = read(f"arms: [equal_steps, fine_tuned], weights: {{{NAME}: {file}}}")
    load_images(typed, document)
    study = with_absolute_paths(typed)
    scratch, tuned = (config_of(study, name) for name in ("equal_steps", "fine_tuned"))
    assert scratch.backbone == study.backbones[0]
    assert tuned.backbone.weights == str(file)
    assert len(tuned.backbone.weights_sha256 or "") == 64
    assert tuned.classifier.lr == pytest.approx(scratch.classifier.lr / 10)
    assert tuned.joint == scratch.joint
    assert TrialConfig.model_validate(tuned.model_dump(mode="json")) == tuned


def test_a_method_that_is_pre_trained_gives_the_arm_its_weights_and_rate(tmp_path: Path) -> None:
    file = saved(tmp_path)
    backbone = f"{{name: {NAME}, weights: {file}, freeze: all}}"
    text = TEXT.replace(f"[{NAME}]", f"[{backbone}]")
    study = parse(Study, read_yaml_text(f"{text}confirm: {{arms: [fine_tuned]}}\n", "tiny.yaml"))
    method, tuned = (config_of(study, name) for name in ("gan_distillation", "fine_tuned"))
    assert tuned.backbone == method.backbone.model_copy(update={"freeze": "none"})
    assert tuned.classifier == method.classifier


def test_all_arms_include_it_if_there_are_weights(tmp_path: Path) -> None:
    assert "fine_tuned" not in planned(read("")[0], {"arms": "all"}).arms
    study, _ = read(f"weights: {{{NAME}: {saved(tmp_path)}}}")
    assert "fine_tuned" in planned(study, {"arms": "all"}).arms


def test_its_own_search_starts_from_the_weights_too(tmp_path: Path) -> None:
    text = TEXT.replace("space:", "space:\n  classifier.weight_decay: uniform(0, 0.1)")
    confirm = f"confirm: {{arms: [fine_tuned], weights: {{{NAME}: {saved(tmp_path)}}}}}\n"
    study = parse(Study, read_yaml_text(text + confirm, "tiny.yaml"))
    own = arm_study(study, ARMS["fine_tuned"])
    assert own is not None
    assert own.backbones[0].weights is not None
    assert own.trial.classifier.lr == pytest.approx(study.trial.classifier.lr / 10)
    assert list(own.space.dimensions) == ["classifier.weight_decay"]


def test_without_weights_that_can_be_fetched_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    study, document = read("arms: [fine_tuned]")
    with pytest.raises(InputError) as caught:
        load_images(study, document)
    message = str(caught.value)
    assert "confirm.arms: got fine_tuned, and squeezenet1_1 with pretrained: true" in message
    assert "(confirm.weights: {squeezenet1_1: FILE.safetensors}), or another arm" in message


def test_a_control_of_a_search_has_the_weights_too(tmp_path: Path) -> None:
    study, _ = read(f"weights: {{{NAME}: {saved(tmp_path)}}}")
    search = study.search.model_copy(update={"controls": ("fine_tuned",)})
    study = study.model_copy(update={"search": search})
    (run,) = control_runs(study)
    assert proposed_config(study, run.proposal(0)).backbone.weights is not None
    assert proposed_config(study, {"backbone": NAME, "params": {}}).backbone.weights is None


def test_weights_of_another_backbone_are_refused() -> None:
    with pytest.raises((InputError, InputErrors), match=r"confirm\.weights: got 'resnet18'"):
        read("weights: {resnet18: w.safetensors}")


def test_weights_can_be_named_when_the_search_is_over() -> None:
    document = read_yaml_text(f"{TEXT}confirm: null\n", "tiny.yaml")
    document.set(f"confirm.weights={{{NAME}: w.safetensors}}")
    confirm = parse(Study, document).confirm
    assert confirm is not None
    assert confirm.weights == {NAME: "w.safetensors"}
