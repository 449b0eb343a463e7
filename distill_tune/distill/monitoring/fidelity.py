"""Agreement of synthetic images with their labels, according to an independent judge.

The judge is a small network trained on the training images. It depends on the data and the GAN's
fields but not on the backbone, so that all backbones can share one warm-up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_tune.distill.augmentation import classifier_augmentation, to_float
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.random_streams import seed_global, stream, uniform
from distill_tune.distill.monitoring.diversity import effective_rank, within_class_distance
from distill_tune.distill.monitoring.evaluation import evaluating, image_batches
from distill_tune.interfaces import Metrics
from distill_tune.records.trials import FIT_AGREEMENT

CHECK_STEPS = 50
"""Generator steps between two measurements of a warm-up of length ``auto``."""

_WINDOW = 3
_STILL_AGREEMENT, _STILL_DIVERSITY = 0.02, 0.05
_IMAGES, _MOST_REAL = 500, 1000
_BATCH, _LR, _WEIGHT_DECAY, _SHIFT = 64, 5e-3, 0.05, 0.125
_WIDTH, _MOST_WIDTH, _LAST_SIDE = 32, 128, 4


class Fidelity(NamedTuple):
    """A measurement of how well the averaged generator follows its classes.

    Attributes:
        step: Generator steps taken, over all stages.
        agreement: Share of synthetic images that the judge assigns to their requested class.
        diversity: Mean pixel distance within a class, synthetic over real.
    """

    step: int
    agreement: float
    diversity: float


class Judge(nn.Module):
    """A classifier of convolutions down to at most 4x4 positions, their mean, and a linear layer.

    Args:
        num_classes: Length of its output.
        channels: Channels of the images.
        image_size: Side of the images in pixels.
    """

    def __init__(self, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        # A stride-1 convolution at the first resolution costs most: none above 32 pixels.
        width_in, width, side, stride = channels, _WIDTH, image_size, 1 if image_size <= 32 else 2
        while True:
            layers += [
                nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            side = -(-side // stride)
            if side <= _LAST_SIDE:
                break
            width_in, width, stride = width, min(2 * width, _MOST_WIDTH), 2
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[n, num_classes]`` of float32 images ``[n, channels, size, size]``."""
        logits: Tensor = self.head(self.body(images).mean(dim=(2, 3)))
        return logits


def build_judge(seed: int, *, num_classes: int, channels: int, image_size: int) -> Judge:
    """Return an untrained judge, in eval mode and without gradients."""
    seed_global(seed, "init", "judge")
    return Judge(num_classes, channels, image_size).requires_grad_(requires_grad=False).eval()


def train_judge(judge: Judge, data: DeviceData, seed: int, steps: int) -> None:
    """Train a judge in place on class-balanced batches of the training images.

    Args:
        judge: From :func:`build_judge`; in eval mode and without gradients afterwards.
        data: Only its training images are used.
        seed: Seeds every draw.
        steps: Optimiser steps; the learning rate falls to 0 over them.
    """
    judge.requires_grad_(requires_grad=True).train()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=_LR, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        generator = stream(seed, "judge", step, device=data.device)
        labels = torch.arange(_BATCH, device=data.device) % data.num_classes
        if data.num_classes > _BATCH:
            labels = (uniform((_BATCH,), generator) * data.num_classes).long()
        chosen = data.by_class.draw(labels, uniform((_BATCH,), generator))
        images = classifier_augmentation(
            to_float(data.train.images[chosen]),
            max_shift=_SHIFT,
            flip=data.flip,
            generator=generator,
        )
        loss = F.cross_entropy(judge(images), data.train.labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    judge.requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def agreement(judge: Judge, images: Tensor, labels: Tensor) -> float:
    """Return the share of images for which the judge predicts their label.

    Args:
        judge: Trained.
        images: ``[n, channels, size, size]``, uint8, or float32 in [-1, 1].
        labels: ``[n]`` int64.
    """
    with evaluating(judge):
        named = torch.cat([judge(batch).argmax(1) for batch in image_batches(images)])
    return (named == labels).float().mean().item()


@dataclass(frozen=True)
class FidelityTest:
    """A repeatable test of generators: a judge, fixed balanced labels and real images to compare.

    Attributes:
        judge: Trained.
        labels: ``[500]`` int64, requested from the generator.
        real: ``[n, channels, size, size]`` uint8 training images, at most 1,000.
        real_spread: Mean distance between two of them within a class.
    """

    judge: Judge
    labels: Tensor
    real: Tensor
    real_spread: float

    @classmethod
    def of(cls, judge: Judge, data: DeviceData) -> "FidelityTest":
        """Return the test for generators of this data.

        At most 250 classes are tested, so that each has two images to compare.
        """
        asked = min(data.num_classes, _IMAGES // 2)
        classes = torch.arange(asked, device=data.device) * data.num_classes // asked
        known = torch.isin(data.train.labels, classes).nonzero()[:, 0]
        chosen = torch.arange(min(len(known), _MOST_REAL), device=data.device)
        chosen = known[chosen * len(known) // len(chosen)]
        real = data.train.images[chosen]
        spread = within_class_distance(real, data.train.labels[chosen])
        labels = classes[torch.arange(_IMAGES, device=data.device) % asked]
        return cls(judge, labels, real, spread)

    def of_images(self, images: Tensor, step: int) -> Fidelity:
        """Return the fidelity of images ``[500, channels, size, size]`` made for ``labels``."""
        spread = within_class_distance(images, self.labels)
        return Fidelity(
            step,
            agreement(self.judge, images, self.labels),
            spread / self.real_spread if self.real_spread > 0 else 0.0,
        )

    def rank_ratio(self, images: Tensor) -> float:
        """Return the effective rank of images relative to that of the real ones, in pixels."""
        return effective_rank(images) / max(effective_rank(self.real), 1e-8)


def is_settled(history: Sequence[Fidelity]) -> bool:
    """Return whether a warm-up can end: the generator is fit and stable.

    Fit: the mean agreement of the last three measurements is at least 0.9. Stable: it is within
    0.02, and mean diversity within 5 %, of the mean of the three measurements before.
    """
    if len(history) < 2 * _WINDOW:
        return False
    before, now = history[-2 * _WINDOW : -_WINDOW], history[-_WINDOW:]
    agreements = _mean(before, lambda one: one.agreement), _mean(now, lambda one: one.agreement)
    diversities = _mean(before, lambda one: one.diversity), _mean(now, lambda one: one.diversity)
    return (
        agreements[1] >= FIT_AGREEMENT
        and abs(agreements[1] - agreements[0]) <= _STILL_AGREEMENT
        and abs(diversities[1] - diversities[0]) <= _STILL_DIVERSITY * diversities[0]
    )


def metrics_of(fidelity: Fidelity) -> Metrics:
    """Return a measurement as metrics, under the names used in reports."""
    return {
        "synthetic/agreement": fidelity.agreement,
        "synthetic/pixel_diversity": fidelity.diversity,
    }


def _mean(history: Sequence[Fidelity], value: Callable[[Fidelity], float]) -> float:
    return sum(map(value, history)) / len(history)
