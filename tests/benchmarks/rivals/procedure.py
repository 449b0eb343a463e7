"""A whole trial as a script has it: stages 1, 2 and 3 in a row, the accuracy after each epoch."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.study.opening import load_images, read_study
from distill_tune.study.study import Study
from tests.benchmarks.rivals.classifier import (
    HardSamples,
    build_classifier,
    find_hard_samples,
    make_optimizer,
    pretrain,
    validate,
)
from tests.benchmarks.rivals.gan import PlainGan
from tests.benchmarks.rivals.images import Loaders, augment, make_loaders


class Epoch(NamedTuple):
    """What a trial says after an epoch of stage 3.

    Attributes:
        accuracy: On validation.
        seconds: Spent since the last one, by stage.
    """

    accuracy: float
    seconds: Mapping[str, float]


def read(file: Path) -> tuple[Study, ImageData]:
    """Return the study that a YAML file describes, and its images."""
    study, document = read_study(file, [], {})
    return study, load_images(study, document)


def run_trial(config: TrialConfig, images: ImageData) -> Iterator[Epoch]:
    """Run all stages of one configuration and report after every epoch of stage 3."""
    torch.manual_seed(config.seed)
    started = time.perf_counter()
    loaders = make_loaders(config, images)
    classifier = build_classifier(config, images)
    pretrain(classifier, config, loaders)
    pretrained = time.perf_counter()
    joint_steps = config.joint.epochs * len(loaders.train)  # type: ignore[arg-type]
    total = config.gan.warmup_limit + config.gan.triplet_steps + joint_steps
    gan = PlainGan(config, images, total)
    for _ in range(config.gan.warmup_limit):
        gan.step(lr=config.gan.lr, hard=None, margin=0.0, weight=0.0)
    warmed = time.perf_counter()
    samples = find_hard_samples(classifier, config, loaders)
    _train_with_triplet(gan, config, samples)
    seconds = {
        "classifier": pretrained - started,
        "warmup": warmed - pretrained,
        "triplet": time.perf_counter() - warmed,
    }
    yield from _joint_stage(classifier, gan, samples, (config, images, loaders), seconds)


def _train_with_triplet(gan: PlainGan, config: TrialConfig, samples: HardSamples) -> None:
    steps, joint = config.gan.triplet_steps, config.joint
    for done in range(1, steps + 1):
        weight = joint.triplet_weight * done / steps
        gan.step(lr=config.gan.lr, hard=samples, margin=joint.margin, weight=weight)


def _joint_stage(
    classifier: Classifier,
    gan: PlainGan,
    samples: HardSamples,
    given: tuple[TrialConfig, ImageData, Loaders],
    seconds: Mapping[str, float],
) -> Iterator[Epoch]:
    config, images, loaders = given
    joint = config.joint
    optimizer, schedule = make_optimizer(
        classifier,
        config,
        lr=config.classifier.lr * joint.classifier_lr_factor,
        epochs=joint.epochs,
    )
    for epoch in range(joint.epochs):
        started = time.perf_counter()
        if isinstance(joint.refresh, int) and epoch > 0 and epoch % joint.refresh == 0:
            samples = find_hard_samples(classifier, config, loaders)
        ratio = joint.synthetic_ratio * min(1.0, (epoch + 1) / max(1, joint.ramp_epochs))
        classifier.train()
        for real, labels in loaders.train:
            if joint.gan_lr > 0:
                gan.step(
                    lr=joint.gan_lr,
                    hard=samples,
                    margin=joint.margin,
                    weight=joint.triplet_weight,
                )
            loss = F.cross_entropy(classifier(real), labels)
            if ratio > 0:
                count = max(len(labels), round(ratio * len(labels)))
                loss = loss + ratio * _synthetic_loss(
                    classifier, gan, config, count, flip=images.flip
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        accuracy = validate(classifier, loaders)
        yield Epoch(accuracy, {**seconds, "joint": time.perf_counter() - started})
        seconds = {}


def _synthetic_loss(
    classifier: Classifier, gan: PlainGan, config: TrialConfig, count: int, *, flip: bool
) -> torch.Tensor:
    """Return the loss on fresh synthetic images, which pass apart from the real ones."""
    synthetic, classes = gan.sample(count)
    logits = classifier(augment(synthetic, config, flip=flip))
    return F.cross_entropy(logits, classes, label_smoothing=config.joint.label_smoothing)
