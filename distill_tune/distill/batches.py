"""What the classifier is shown in a step: images after its augmentation A, and their labels."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import classifier_augmentation, to_float, to_uint8
from distill_tune.distill.data import DeviceData
from distill_tune.distill.streams import Purpose, seed_global, stream
from distill_tune.distill.trial_config import ClassifierTraining

Batch = tuple[Tensor, Tensor]
"""Images ``[n, channels, size, size]`` float32 in [-1, 1]; labels ``[n]`` int64, or, mixed or
smoothed, ``[n, num_classes]`` float32 that add up to 1."""


class ExtraBatch(NamedTuple):
    """Augmented extra images and how much they weigh.

    Attributes:
        images: ``[n, channels, size, size]``, float32 in [-1, 1].
        labels: ``[n]`` int64, or ``[n, num_classes]`` float32 where they are mixed.
        weight: Of their mean loss beside that of the real images.
        kept_share: Share of the images asked for that selection kept; 1 without selection.
    """

    images: Tensor
    labels: Tensor
    weight: float
    kept_share: float = 1.0


Key = tuple[int, Purpose, *tuple[int, ...]]
"""Of the random numbers of a batch: seed, purpose, and what counts it."""


def augmented_batch(
    images: Tensor, labels: Tensor, data: DeviceData, training: ClassifierTraining, key: Key
) -> Batch:
    """Return A(images) and their labels.

    The strong augmentations are torchvision's, image by image. They draw from torch's global
    random state, which is keyed here.

    Args:
        images: ``[n, channels, size, size]``, uint8, or float32 in [-1, 1].
        labels: ``[n]`` int64.
        data: Whether images may be mirrored, and the number of classes.
        training: Which augmentations.
        key: The same one gives the same batch.
    """
    if training.augmentation != "shift":
        seed_global(*key, "strong")
        images = _strong(images if images.dtype == torch.uint8 else to_uint8(images), training)
    images = classifier_augmentation(
        to_float(images) if images.dtype == torch.uint8 else images,
        max_shift=training.shift,
        flip=data.flip,
        generator=stream(*key, device=images.device),
    )
    if training.cutmix > 0:
        seed_global(*key, "cutmix")
        if torch.rand(()) < training.cutmix:
            return _mixed(images, labels, data.num_classes)
    return images, labels


def smoothed(labels: Tensor, smoothing: float, num_classes: int) -> Tensor:
    """Return labels that a cross-entropy takes as ``label_smoothing``; 0 returns them as they are.

    Args:
        labels: ``[n]`` int64, or ``[n, num_classes]`` float32.
        smoothing: In [0, 1).
        num_classes: How many there are.
    """
    if smoothing == 0:
        return labels
    soft = F.one_hot(labels, num_classes).float() if labels.ndim == 1 else labels
    return soft * (1 - smoothing) + smoothing / num_classes


def _strong(images: Tensor, training: ClassifierTraining) -> Tensor:
    from torchvision.transforms.v2 import RandAugment, TrivialAugmentWide

    change = {"trivial": TrivialAugmentWide, "randaugment": RandAugment}[training.augmentation]()
    return torch.stack([change(image) for image in images])


def _mixed(images: Tensor, labels: Tensor, num_classes: int) -> Batch:
    from torchvision.transforms.v2 import CutMix

    mixed: Batch = CutMix(num_classes=num_classes)(images, labels)
    return mixed
