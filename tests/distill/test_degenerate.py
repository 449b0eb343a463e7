"""Settings in which the method must be another, simpler one, bit for bit."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from distill_tune.distill.augmentation import GanAugmentation, classifier_augmentation, to_float
from distill_tune.distill.classifier_stage import (
    num_steps,
    real_batches,
    scheduled_lr,
    set_lr,
    train_epoch,
    train_step,
)
from distill_tune.distill.compute.averaging import stage_decay
from distill_tune.distill.compute.batches import ExtraBatch
from distill_tune.distill.compute.random_streams import (
    integers,
    normal,
    seed_global,
    stream,
    uniform,
)
from distill_tune.distill.losses import discriminator_hinge, generator_hinge
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.evaluation import validate
from distill_tune.distill.trial import Trial
from tests.distill.conftest import Begin
from tests.distill.tiny import differences, networks

FRESH = {"refresh": "never", "ramp_epochs": 2, "synthetic_ratio": 0.8}


def joint_epochs(running: Trial) -> Iterator[tuple[dict[str, float], dict[str, Tensor]]]:
    """Yield the metrics and the classifier's weights after each epoch of the method itself.

    The last epoch puts the best weights back, so that its own are not seen.
    """
    for report in running.run():
        is_last = report.step == report.num_steps
        yield report.metrics, {} if is_last else copy_weights(running.state.classifier)


def epoch_lr(running: Trial, epoch: int) -> float:
    training, joint = running.config.classifier, running.config.joint
    return scheduled_lr(training, training.lr * joint.classifier_lr_factor, epoch, joint.epochs)


def plain_synthetic(running: Trial, epoch: int, step: int, num_real: int) -> Any:
    """Write down what the classifier is shown, without the trainer."""
    config, data = running.config, running.data
    ratio = config.joint.synthetic_ratio * min(1.0, (epoch + 1) / config.joint.ramp_epochs)
    whole = epoch * num_steps(data, config.classifier) + step
    draw = stream(config.seed, "synthetic", whole)
    z = normal((max(num_real, round(ratio * num_real)), config.gan.latent_dim), draw)
    labels = integers(10, (len(z),), draw)
    with torch.no_grad():
        images = running.state.gan.ema(z, labels, 1.0)
    changes = stream(config.seed, "synthetic-augmentation", whole)
    images = classifier_augmentation(
        images, max_shift=config.classifier.shift, flip=False, generator=changes
    )
    return ExtraBatch(images, labels, ratio)


def plain_gan_step(running: Trial) -> None:
    """Write down one step of hinge GAN with DiffAugment and a moving average: no classifier."""
    config, gan, data = running.config, running.state.gan, running.data
    count, lr = config.gan.batch_size, config.joint.gan_lr
    augment = GanAugmentation(config.gan.shift, config.gan.cutout, color=True)
    gan.generator.train()
    gan.discriminator.train()

    def fake(repeat: int) -> tuple[Tensor, Tensor]:
        draw = stream(config.seed, "z", gan.step, repeat)
        z = normal((count, config.gan.latent_dim), draw)
        labels = integers(10, (count,), draw)
        images: Tensor = gan.generator(z, labels, 1.0)
        return images, labels

    def changed(images: Tensor, *key: int | str) -> Tensor:
        return augment(images, stream(config.seed, "diffaugment", gan.step, *key))

    draw = stream(config.seed, "real", gan.step, 0)
    labels = integers(10, (count,), draw)
    real = to_float(data.train.images[data.by_class.draw(labels, uniform((count,), draw))])
    images, classes = fake(0)
    both = torch.cat([changed(real, 0, "real"), changed(images.detach(), 0, "fake")])
    logits = gan.discriminator(both, torch.cat([labels, classes]), 1.0)
    averages = torch.stack([part.mean() for part in logits.detach().chunk(2)])
    gan.logit_averages.lerp_(averages, 1 - 0.99)
    set_lr(gan.discriminator_optimizer, lr)
    gan.discriminator_optimizer.zero_grad()
    discriminator_hinge(*logits.chunk(2)).backward()
    gan.discriminator_optimizer.step()

    images, classes = fake(-1)
    set_lr(gan.generator_optimizer, lr)
    gan.generator_optimizer.zero_grad()
    loss = generator_hinge(gan.discriminator(changed(images, "generator"), classes, 1.0))
    loss.backward()
    gan.generator_optimizer.step()
    steps = config.joint.epochs * num_steps(data, config.classifier)
    gan.average.move(stage_decay(config.gan.ema_decay, steps))
    gan.step += 1


def test_ratio_zero_is_stage_one_continued(at_joint: Begin) -> None:
    joint = {"synthetic_ratio": 0.0, "epochs": 3}
    plain = at_joint(joint=joint)
    state, training = plain.state, plain.config.classifier
    state.classifier.train()
    for epoch, (metrics, weights) in enumerate(joint_epochs(at_joint(joint=joint))):
        whole = training.epochs + epoch
        set_lr(state.optimizer, epoch_lr(plain, epoch))
        loss = train_epoch(
            state.classifier,
            state.optimizer,
            real_batches(plain.data, training, seed=plain.config.seed, epoch=whole),
            seed=plain.config.seed,
            epoch=whole,
        )
        result = validate(state.classifier, plain.data)
        assert metrics["loss/classifier"] == loss
        assert result.items() <= metrics.items()
        if weights:
            assert differences(weights, copy_weights(state.classifier)) == []


@pytest.mark.parametrize(
    "other", [{"margin": 0.9}, {"gan_lr": 0.0}, {"triplet_weight": 5.0}, {"hard_threshold": 0.45}]
)
def test_without_synthetic_images_no_searched_parameter_matters(
    at_joint: Begin, other: dict[str, Any]
) -> None:
    ends = []
    for changes in ({}, other):
        running = at_joint(joint={"synthetic_ratio": 0.0, "epochs": 2, **changes})
        list(running.run())
        ends.append(copy_weights(running.state.classifier))
    assert differences(ends[0], ends[1]) == []


def test_lambda_zero_is_plain_gan_co_training(at_joint: Begin) -> None:
    changes: dict[str, Any] = {
        "joint": {**FRESH, "triplet_weight": 0.0, "epochs": 2},
        "gan": {"lecam": 0.0, "mismatch": 0.0, "mode_seeking": 0.0},
    }
    plain = at_joint(**changes)
    state, config = plain.state, plain.config
    running = at_joint(**changes)
    for epoch, (_, weights) in enumerate(joint_epochs(running)):
        set_lr(state.optimizer, epoch_lr(plain, epoch))
        whole = config.classifier.epochs + epoch
        batches = real_batches(plain.data, config.classifier, seed=config.seed, epoch=whole)
        for step, real in enumerate(batches):
            plain_gan_step(plain)
            synthetic = plain_synthetic(plain, epoch, step, len(real[1]))
            seed_global(config.seed, "dropout", whole, step)
            train_step(state.classifier, state.optimizer, real, synthetic, joint=config.joint)
        validate(state.classifier, plain.data)
        assert differences(networks(running), networks(plain)) == []
        if weights:
            assert differences(weights, copy_weights(state.classifier)) == []


def test_lambda_zero_never_asks_the_snapshot(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint(joint={**FRESH, "triplet_weight": 0.0, "epochs": 2})

    def poisoned(*_: object) -> Tensor:
        raise AssertionError("Fs was asked for features")

    monkeypatch.setattr(running.state.snapshot, "features", poisoned)
    monkeypatch.setattr(running.state.snapshot, "forward", poisoned)
    assert len(list(running.run())) == 2


def test_lambda_zero_does_not_depend_on_what_is_hard(at_joint: Begin) -> None:
    ends = []
    for changes in ({"refresh": "never"}, {"refresh": 1, "hard_rule": "misclassified"}):
        running = at_joint(joint={"triplet_weight": 0.0, "epochs": 3, **changes})
        list(running.run())
        ends.append(copy_weights(running.state.classifier))
    assert differences(ends[0], ends[1]) == []


def test_a_frozen_gan_is_augmentation_by_a_fixed_generator(at_joint: Begin) -> None:
    joint = {**FRESH, "gan_lr": 0.0, "epochs": 3}
    plain, running = at_joint(joint=joint), at_joint(joint=joint)
    state, config = plain.state, plain.config
    for epoch, (metrics, weights) in enumerate(joint_epochs(running)):
        set_lr(state.optimizer, epoch_lr(plain, epoch))
        whole = config.classifier.epochs + epoch
        batches = real_batches(plain.data, config.classifier, seed=config.seed, epoch=whole)
        for step, real in enumerate(batches):
            synthetic = plain_synthetic(plain, epoch, step, len(real[1]))
            seed_global(config.seed, "dropout", whole, step)
            train_step(state.classifier, state.optimizer, real, synthetic, joint=config.joint)
        assert validate(state.classifier, plain.data)["val/loss"] == metrics["val/loss"]
        if weights:
            assert differences(weights, copy_weights(state.classifier)) == []
    assert differences(networks(running), networks(plain)) == []
    sets = running.state.sets
    assert sets is not None
    assert state.sets is not None
    assert differences(sets.state_dict(), state.sets.state_dict()) == []
    assert differences(copy_weights(running.state.snapshot), copy_weights(state.snapshot)) == []
