"""Reading a classifier changes nothing that it should not, even when reading fails."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring import evaluation
from distill_tune.distill.monitoring.evaluation import (
    evaluate,
    evaluating,
    features_and_logits,
    reestimate_batch_norm,
    running_statistics_kept,
    scores,
    validate,
)
from distill_tune.errors import InputError
from distill_tune.interfaces import Split
from tests.distill.conftest import Begin
from tests.distill.tiny import differences


class BrokenError(Exception):
    """Raised in the middle of a forward pass."""


def break_down(*_: object) -> None:
    raise BrokenError


def norm_of(model: nn.Module) -> nn.BatchNorm2d:
    return next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def running_mean(model: nn.Module) -> Tensor:
    return norm_of(model).get_buffer("running_mean")


def test_the_mode_is_restored_when_the_forward_fails(at_joint: Begin) -> None:
    trial = at_joint()
    classifier, images = trial.state.classifier.train(), trial.data.train.images
    handle = classifier.body.register_forward_hook(break_down)
    for read in (features_and_logits, reestimate_batch_norm):
        with pytest.raises(BrokenError):
            read(classifier, images)
        assert classifier.training
        assert all(module.training for module in classifier.modules())
        assert norm_of(classifier).momentum == 0.1
    with pytest.raises(BrokenError), running_statistics_kept(classifier):
        classifier(to_float(images[:4]))
    assert norm_of(classifier).track_running_stats
    handle.remove()


def test_each_model_gets_its_own_mode_back() -> None:
    one, other = nn.Dropout().train(), nn.Dropout().eval()
    with evaluating(one, other):
        assert not one.training
        assert not other.training
    assert one.training
    assert not other.training


def test_reading_a_network_in_training_mode_has_no_noise_and_leaves_no_trace(
    at_joint: Begin,
) -> None:
    trial = at_joint()
    classifier, images = trial.state.classifier.train(), trial.data.train.images
    before = copy_weights(classifier)
    features, logits = features_and_logits(classifier, images)
    again, _ = features_and_logits(classifier, to_float(images))
    assert torch.equal(features, again)
    assert torch.equal(logits, classifier.head(features))
    assert not features.requires_grad
    assert features.shape == (160, classifier.feature_dim)
    assert classifier.training
    assert differences(before, copy_weights(classifier)) == []


def test_a_training_forward_without_recording_still_uses_the_batchs_statistics(
    at_joint: Begin,
) -> None:
    trial = at_joint()
    body = trial.state.classifier.body.train()
    images = to_float(trial.data.train.images[:20])
    before = copy_weights(trial.state.classifier)
    torch.manual_seed(0)
    with running_statistics_kept(trial.state.classifier):
        quiet = body(images)
    assert differences(before, copy_weights(trial.state.classifier)) == []
    torch.manual_seed(0)
    recorded = body(images)
    assert torch.allclose(quiet, recorded, atol=1e-6)
    assert not torch.equal(before["body.1.running_mean"], running_mean(body))
    body.eval()
    assert not torch.allclose(quiet, body(images), atol=1e-3)


def test_batch_norm_is_reestimated_as_the_plain_average_over_all_images(at_joint: Begin) -> None:
    trial = at_joint()
    classifier, images = trial.state.classifier.train(), trial.data.train.images
    running_mean(classifier).fill_(123.0)
    reestimate_batch_norm(classifier, images)
    first = classifier.body.get_submodule("0")
    maps = first(classifier.to_classifier(to_float(images)))
    assert torch.allclose(running_mean(classifier), maps.mean((0, 2, 3)), atol=1e-5)
    variance = norm_of(classifier).get_buffer("running_var")
    assert torch.allclose(variance, maps.var((0, 2, 3)), atol=1e-4)
    assert classifier.training
    assert norm_of(classifier).momentum == 0.1


def test_every_batch_weighs_the_same_in_the_average(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = at_joint()
    classifier, images = trial.state.classifier, trial.data.train.images
    reestimate_batch_norm(classifier, images)
    whole = running_mean(classifier).clone()
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 40)
    reestimate_batch_norm(classifier, images)
    assert torch.allclose(whole, running_mean(classifier), atol=1e-5)


def test_images_that_lie_class_by_class_keep_the_variance_between_classes(at_joint: Begin) -> None:
    trial = at_joint()
    classifier = trial.state.classifier
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([0, 60, 120, 180, 240]).repeat_interleave(120)
    noise = torch.randint(0, 15, (600, 1, 8, 8), generator=generator)
    images = (levels[:, None, None, None] + noise).to(torch.uint8)
    reestimate_batch_norm(classifier, images)
    first = classifier.body.get_submodule("0")
    maps = first(classifier.to_classifier(to_float(images)))
    variance = norm_of(classifier).get_buffer("running_var")
    assert torch.allclose(variance, maps.var((0, 2, 3)), rtol=0.02)


@pytest.mark.parametrize(
    ("does", "got"),
    [
        (lambda: math.nan, "nan of val/own"),
        (lambda: "good", "ValueError of val/own (could not convert string to float: 'good')"),
        (lambda: 1 / 0, "ZeroDivisionError of val/own (division by zero)"),
    ],
)
def test_a_metric_that_fails_is_named(
    does: Callable[[], Any], got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = SimpleNamespace(measure=lambda *_: does())
    monkeypatch.setattr(evaluation, "metric_named", lambda _: metric)
    with pytest.raises(InputError) as caught:
        scores(torch.eye(3), torch.arange(3), "val/own")
    expected = "a finite number, higher for a better classifier"
    assert str(caught.value) == f"metric: got {got}, expected {expected}"


def test_a_network_without_batch_norm_is_left_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    reestimate_batch_norm(model, torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
    assert model.training


def test_accuracy_and_loss_by_hand(at_joint: Begin) -> None:
    trial = at_joint()
    classifier, val = trial.state.classifier.eval(), trial.data.val
    with torch.no_grad():
        logits = classifier(to_float(val.images))
    right = [int(row.argmax()) == int(label) for row, label in zip(logits, val.labels, strict=True)]
    result = evaluate(classifier, val)
    assert result["accuracy"] == pytest.approx(sum(right) / 100)
    assert result["loss"] == pytest.approx(F.cross_entropy(logits, val.labels).item(), abs=1e-6)


def test_stale_statistics_do_not_enter_a_validation(at_joint: Begin) -> None:
    trial = at_joint()
    classifier = trial.state.classifier
    fresh = validate(classifier, trial.data)
    running_mean(classifier).fill_(50.0)
    assert evaluate(classifier, trial.data.val)["loss"] != pytest.approx(
        fresh["val/loss"], abs=1e-3
    )
    assert validate(classifier, trial.data) == fresh


def test_one_image_more_than_a_batch_is_no_batch_of_one(at_joint: Begin) -> None:
    trial = at_joint()
    images = torch.cat([trial.data.train.images] * 2)[:251]
    labels = torch.cat([trial.data.train.labels] * 2)[:251]
    reestimate_batch_norm(trial.state.classifier, images)
    result = evaluate(trial.state.classifier, Split(images, labels))
    assert 0.3 < result["accuracy"] <= 1
