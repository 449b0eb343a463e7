"""The largest steps of a trial, run in advance so that its peak on a GPU is known."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.joint_stage import JointStage, Step
from distill_tune.interfaces import ImageData
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.peak_memory import busiest_epoch, largest_config, run_largest_steps
from tests.commands import STUDY
from tests.distill import tiny
from tests.distill.tiny import CPU, config

SPACE = (
    "space:\n"
    "  joint.margin: uniform(0.05, 0.9)\n"
    "  joint.synthetic_ratio: uniform(0.25, 2)\n"
    "  classifier.batch_size: choice(20, 40, 30)\n"
)


@pytest.fixture(autouse=True)
def _tiny_backbone() -> Iterator[None]:
    with patch.object(Backbone, "build", tiny.build):
        yield


def test_the_largest_trial_of_a_space_has_its_largest_sizes_and_else_the_trials_values() -> None:
    text = STUDY.partition("space:")[0] + SPACE + "search: {num_trials: 2}\n"
    study = parse(Study, read_yaml_text(text, "tiny.yaml"))
    own = {"joint.margin": 0.7, "joint.synthetic_ratio": 0.3, "classifier.batch_size": 20}
    found = largest_config(study, study.backbones[0].name, own)
    assert (found.joint.synthetic_ratio, found.classifier.batch_size) == (2, 40)
    assert found.joint.margin == 0.7
    assert found.gan == study.trial_config(study.backbones[0].name, own).gan


@pytest.mark.parametrize(
    ("ramps", "epoch"),
    [({}, 0), ({"ramp_epochs": 4}, 3), ({"ramp_epochs": 4, "ramp_down_epochs": 3}, 2)],
)
def test_memory_peaks_where_the_ratio_does(ramps: dict[str, int], epoch: int) -> None:
    joint = {"epochs": 6, "ramp_epochs": 0, "synthetic_ratio": 2.0, **ramps}
    assert busiest_epoch(config(joint=joint)) == epoch


def test_a_step_at_the_full_ratio_is_run_and_an_untrained_gan_does_not_end_it(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    step = JointStage.step

    def watched(self: JointStage, epoch: int, number: int, real: Any) -> Step:
        extra = self.extra_batch(epoch, number, len(real[1]))
        assert extra is not None
        sizes.append(len(extra.labels))
        return step(self, epoch, number, real)

    monkeypatch.setattr(JointStage, "step", watched)
    joint = {"epochs": 5, "ramp_epochs": 5, "synthetic_ratio": 2.0, "unfit_policy": "stop"}
    run_largest_steps(config(joint=joint, compute={"compile": True}), digits, CPU)
    assert sizes == [160, 160]


def test_without_a_gan_there_are_steps_too(digits: ImageData) -> None:
    run_largest_steps(config(joint={"extra_images": "none"}), digits, CPU)


def test_a_lack_of_memory_is_an_answer_and_other_errors_are_not(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def broken(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(JointStage, "monitor", lacking)
    run_largest_steps(config(), digits, CPU)
    monkeypatch.setattr(JointStage, "monitor", broken)
    with pytest.raises(ValueError, match="broken"):
        run_largest_steps(config(), digits, CPU)
