"""Stage 1 and what every stage needs to know of a classifier: accuracy, hard and easy images."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import update_bn

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from tests.benchmarks.rivals.images import Batches, Loaders

_DRAWS = 4
_TRIM = 0.02


def build_classifier(config: TrialConfig, images: ImageData) -> Classifier:
    """Return the study's network with fresh weights."""
    return config.backbone.build(
        num_classes=images.num_classes, channels=images.channels, image_size=images.image_size
    )


def make_optimizer(
    classifier: Classifier, config: TrialConfig, *, lr: float, epochs: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.CosineAnnealingLR]:
    """Return AdamW and its schedule over the epochs of a stage."""
    decay = config.classifier.weight_decay
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=lr, weight_decay=decay, fused=True)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)


def pretrain(classifier: Classifier, config: TrialConfig, loaders: Loaders) -> float:
    """Train on real images, leave the best weights in the classifier, return their accuracy."""
    epochs = config.classifier.epochs
    optimizer, schedule = make_optimizer(classifier, config, lr=config.classifier.lr, epochs=epochs)
    best, weights = -1.0, classifier.state_dict()
    for _ in range(epochs):
        classifier.train()
        for images, labels in loaders.train:
            loss = F.cross_entropy(classifier(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        accuracy = validate(classifier, loaders)
        if accuracy > best:
            best, weights = accuracy, copy.deepcopy(classifier.state_dict())
    classifier.load_state_dict(weights)
    return best


@torch.no_grad()
def validate(classifier: Classifier, loaders: Loaders) -> float:
    """Return the accuracy on validation after re-estimating batch norm on training images.

    With so few steps an epoch the running averages lag far behind the weights.
    """
    update_bn(loaders.plain, classifier)
    classifier.eval()
    right = total = 0
    for images, labels in loaders.val:
        right += int((classifier(images).argmax(1) == labels).sum())
        total += len(labels)
    return right / total


@dataclass(frozen=True)
class HardSamples:
    """Hard and easy training images, and what a frozen classifier makes of them.

    Attributes:
        classifier: The snapshot by which they were told apart; takes no gradient.
        features: ``[n, d]`` of every training image.
        hard: Indices of the hard images of each class.
        easy: The same of the easy ones.
        scale: Median distance of a hard and an easy image of a class.
    """

    classifier: Classifier
    features: Tensor
    hard: list[Tensor]
    easy: list[Tensor]
    scale: float


@torch.no_grad()
def find_hard_samples(classifier: Classifier, config: TrialConfig, loaders: Loaders) -> HardSamples:
    """Rank the images of each class by their mean loss over some augmented draws."""
    snapshot = copy.deepcopy(classifier).eval().requires_grad_(False)
    losses = torch.stack([_losses(snapshot, loaders.scored) for _ in range(_DRAWS)]).mean(0)
    labels = torch.cat([labels for _, labels in loaders.plain])
    features = torch.cat([snapshot.features(images) for images, _ in loaders.plain])
    hard, easy = [], []
    for number in range(int(labels.max()) + 1):
        members = (labels == number).nonzero().squeeze(1)
        ranked = members[losses[members].argsort(descending=True)]
        start, count = int(_TRIM * len(ranked)), _num_hard(len(ranked), config.joint)
        hard.append(ranked[start : start + count])
        easy.append(ranked[max(start + count, len(ranked) - len(ranked) // 2) :])
    medians = [
        torch.cdist(features[h], features[e]).median() for h, e in zip(hard, easy, strict=True)
    ]
    return HardSamples(snapshot, features, hard, easy, float(torch.stack(medians).median()))


def _losses(snapshot: Classifier, batches: Batches) -> Tensor:
    return torch.cat(
        [F.cross_entropy(snapshot(images), labels, reduction="none") for images, labels in batches]
    )


def _num_hard(size: int, joint: JointTraining) -> int:
    least, greatest = max(joint.min_hard, round(0.05 * size)), int(0.6 * size)
    return min(max(round(joint.hard_threshold * size), least), greatest)
