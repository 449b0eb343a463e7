"""Stage 1 and the classifier's steps: batches, loss, batch norm, learning rate, the best epoch."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.classifier_stage import (
    make_optimizer,
    num_steps,
    real_batches,
    scheduled_lr,
    train_epoch,
    train_step,
)
from distill_tune.distill.compute.batches import Batch, ExtraBatch
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.evaluation import evaluate, running_statistics_kept
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import ClassifierTraining
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData
from tests.distill.conftest import Begin
from tests.distill.tiny import CPU, differences, run_until, trial


def batch_of(running: Trial, start: int, count: int) -> Batch:
    part = slice(start, start + count)
    return to_float(running.data.train.images[part]), running.data.train.labels[part]


def stepped(running: Trial, extra: ExtraBatch | None) -> tuple[dict[str, Tensor], float]:
    """Return the classifier's weights and loss after one step from a fixed dropout."""
    torch.manual_seed(0)
    state = running.state
    loss = train_step(
        state.classifier,
        state.optimizer,
        batch_of(running, 0, 20),
        extra,
        joint=running.config.joint,
    )
    return copy_weights(state.classifier), loss.item()


def test_an_epoch_shows_each_image_once_and_every_epoch_in_its_own_order(
    digits: ImageData,
) -> None:
    data = DeviceData.place(digits, CPU)
    training = ClassifierTraining(batch_size=40, shift=0.0)
    images = torch.cat([batch[0] for batch in real_batches(data, training, seed=0, epoch=1)])
    rows = sorted(row.tolist() for row in images.flatten(1))
    assert rows == sorted(row.tolist() for row in to_float(data.train.images).flatten(1))
    other = torch.cat([batch[0] for batch in real_batches(data, training, seed=0, epoch=2)])
    assert not torch.equal(images, other)


def test_a_batch_larger_than_the_data_is_all_of_them(digits: ImageData) -> None:
    data = DeviceData.place(digits, CPU)
    training = ClassifierTraining(batch_size=1000)
    batches = list(real_batches(data, training, seed=0, epoch=0))
    assert num_steps(data, training) == len(batches) == 1
    assert len(batches[0][1]) == 160


def test_the_learning_rate_falls_as_half_a_cosine_or_stays() -> None:
    cosine, constant = ClassifierTraining(), ClassifierTraining(schedule="constant")
    assert scheduled_lr(cosine, 0.4, 0, 10) == 0.4
    assert scheduled_lr(cosine, 0.4, 5, 10) == pytest.approx(0.2)
    assert 0 < scheduled_lr(cosine, 0.4, 9, 10) < 0.02
    assert scheduled_lr(constant, 0.4, 9, 10) == 0.4


def test_the_optimiser_is_the_one_that_is_named(digits: ImageData) -> None:
    classifier = trial(digits).state.classifier
    sgd = make_optimizer(classifier, ClassifierTraining(optimizer="sgd", weight_decay=0.1), 0.5)
    assert isinstance(sgd, torch.optim.SGD)
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.5, 0.9, True)
    assert group["weight_decay"] == 0.1
    assert isinstance(make_optimizer(classifier, ClassifierTraining(), 0.5), torch.optim.AdamW)


def test_the_loss_of_a_mixture_is_the_methods_formula(at_joint: Begin) -> None:
    running = at_joint(joint={"label_smoothing": 0.2})
    classifier = running.state.classifier
    real, synthetic = batch_of(running, 0, 20), ExtraBatch(*batch_of(running, 60, 8), 0.4)
    torch.manual_seed(0)
    classifier.train()
    real_loss = F.cross_entropy(classifier(real[0]), real[1])
    with running_statistics_kept(classifier):
        shares = classifier(synthetic[0]).log_softmax(1)
    target = torch.full_like(shares, 0.2 / 10)
    target[torch.arange(8), synthetic[1]] += 0.8
    smoothed = -(target * shares).sum(1).mean()
    expected = real_loss + 0.4 * smoothed
    fresh = at_joint(joint={"label_smoothing": 0.2})
    assert stepped(fresh, synthetic)[1] == pytest.approx(expected.item(), abs=1e-5)


def test_split_batch_norm_records_real_images_only(at_joint: Begin) -> None:
    alone, _ = stepped(at_joint(), None)
    running = at_joint(joint={"batch_norm": "split"})
    split, _ = stepped(running, ExtraBatch(*batch_of(running, 60, 30), 1.5))
    running = at_joint(joint={"batch_norm": "mixed"})
    mixed, _ = stepped(running, ExtraBatch(*batch_of(running, 60, 30), 1.5))
    first = "body.1.running_mean"
    assert torch.equal(alone[first], split[first])
    assert not torch.equal(alone[first], mixed[first])
    assert not torch.equal(alone["head.weight"], split["head.weight"])


def test_what_weighs_nothing_is_no_difference_to_the_weights(at_joint: Begin) -> None:
    running = at_joint()
    nothing = ExtraBatch(*batch_of(running, 60, 8), 0.0)
    one, other = stepped(running, nothing)[0], stepped(at_joint(), None)[0]
    assert all(torch.allclose(one[name].float(), other[name].float()) for name in one)


def test_a_loss_that_is_no_number_ends_the_trial_by_name(at_joint: Begin) -> None:
    running = at_joint()
    with torch.no_grad():
        running.state.classifier.head.weight.fill_(math.nan)
    with pytest.raises(DivergedError, match="diverged: the classifier's loss in epoch 8 is nan"):
        train_epoch(
            running.state.classifier,
            running.state.optimizer,
            real_batches(running.data, running.config.classifier, seed=0, epoch=7),
            seed=0,
            epoch=7,
        )


def test_stage_one_ends_with_the_weights_of_its_best_epoch(digits: ImageData) -> None:
    running = trial(digits, classifier={"epochs": 4, "lr": 0.3, "schedule": "constant"})
    accuracies = []
    for report in running.run_stage("classifier"):
        accuracies.append(report.metrics["val/accuracy"])
        last = report.metrics
    kept = evaluate(running.state.reference, running.data.val)["accuracy"]
    assert kept == max(accuracies) == last["val/best_accuracy"]
    reference = copy_weights(running.state.reference)
    assert differences(reference, copy_weights(running.state.classifier)) == []
    assert differences(reference, copy_weights(running.state.snapshot)) == []


def test_the_classifier_learns(digits: ImageData) -> None:
    running = run_until(trial(digits, classifier={"epochs": 6}), "classifier")
    assert evaluate(running.state.reference, running.data.val)["accuracy"] > 0.5
