"""Synthetic images are selected by the classifier snapshot, one of each run of candidates."""

import pytest
import torch
from torch import Tensor, nn

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.configuration.joint_training import JointTraining, Selection
from distill_tune.distill.extra_images import select
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.trial_config import TrialTemplate
from tests.distill.conftest import Begin


class Told(nn.Module):
    """Features are the first pixels themselves."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :3]


def reader() -> Classifier:
    """Return a classifier whose logits stand in the first three pixels of an image."""
    classifier = Classifier(
        Told(), feature_dim=3, num_classes=3, resize=(4, 4), normalisation=((0.0,), (1.0,))
    )
    with torch.no_grad():
        classifier.head.weight.copy_(torch.eye(3))
        classifier.head.bias.zero_()
    return classifier


def images_of(logits: list[list[float]]) -> Tensor:
    images = torch.zeros(len(logits), 1, 4, 4)
    images[:, 0, 0, :3] = torch.tensor(logits)
    return images


LOGITS = [
    # Asked for class 0: the second is sure, the third is less so.
    [0.0, 0.5, 0.0],
    [0.9, 0.0, 0.0],
    [0.5, 0.4, 0.0],
    # Asked for class 1: nobody agrees.
    [0.9, 0.0, 0.0],
    [0.9, 0.1, 0.0],
    [0.0, 0.1, 0.2],
    # Asked for class 2: the first agrees.
    [0.0, 0.0, 0.8],
    [0.9, 0.0, 0.0],
    [0.0, 0.9, 0.0],
]
LABELS = torch.tensor([0, 1, 2]).repeat_interleave(3)


@pytest.mark.parametrize(("selection", "expected"), [("agree", [1, 6]), ("hard", [2, 6])])
def test_one_candidate_of_each_run_is_kept(selection: Selection, expected: list[int]) -> None:
    assert select(reader(), images_of(LOGITS), LABELS, 3, selection).tolist() == expected


def test_of_single_candidates_those_that_disagree_are_left_out() -> None:
    kept = select(reader(), images_of(LOGITS), LABELS, 1, "agree")
    assert kept.tolist() == [1, 2, 6]


def test_what_is_left_out_weighs_nothing(at_joint: Begin) -> None:
    joint = {"selection": "agree", "candidates": 1, "synthetic_ratio": 1.0, "ramp_epochs": 0}
    running = at_joint(joint=joint)
    batch = JointStage(running.trainer, None).extra_batch(0, 0, 80)
    assert batch is not None
    assert 0 < len(batch.labels) < 80
    assert batch.weight == batch.kept_share == len(batch.labels) / 80


def test_more_candidates_keep_more_images_of_the_classes_asked_for() -> None:
    logits = torch.randn(240, 3, generator=torch.Generator().manual_seed(0)).tolist()
    shares = []
    for candidates in (1, 2, 8):
        labels = (torch.arange(240 // candidates) % 3).repeat_interleave(candidates)
        kept = select(reader(), images_of(logits), labels, candidates, "hard")
        shares.append(len(kept) / (240 / candidates))
    # One in three agrees: 1 - (2/3)^n of the runs have one that does.
    assert shares == pytest.approx([1 / 3, 5 / 9, 0.96], abs=0.1)


def test_the_share_that_is_kept_is_told(at_joint: Begin) -> None:
    (report,) = at_joint(joint={"selection": "hard", "epochs": 1, "ramp_epochs": 0}).run()
    assert 0 < report.metrics["synthetic/kept_share"] < 1


def test_without_selection_every_image_is_kept_and_nothing_is_told(at_joint: Begin) -> None:
    (report,) = at_joint(joint={"epochs": 1}).run()
    assert "synthetic/kept_share" not in report.metrics


def test_the_literal_preset_selects_nothing() -> None:
    raw = {"preset": "poster_literal"}
    assert TrialTemplate.model_validate(raw).joint.selection == "none"
    assert JointTraining(selection="hard").candidates > 1
