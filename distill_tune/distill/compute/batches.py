"""Batches of the classifier: images after its augmentation A, and their labels."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_tune.distill.augmentation import (
    affine,
    classifier_augmentation,
    shift,
    to_float,
    to_uint8,
    without_blanks,
)
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.random_streams import Purpose, seed_global, stream
from distill_tune.distill.trial_config import ClassifierTraining

Batch = tuple[Tensor, Tensor]
"""Images ``[n, channels, size, size]`` float32 in [-1, 1]; labels ``[n]`` int64 or, if mixed,
smoothed or weighted, ``[n, num_classes]`` float32 with rows that sum to 1 or to a weight."""


class ExtraBatch(NamedTuple):
    """Augmented extra images and their weight.

    Attributes:
        images: ``[n, channels, size, size]``, float32 in [-1, 1].
        labels: ``[n]`` int64, or ``[n, num_classes]`` float32 if they are mixed, or if some of them
            count for nothing (a row of zeros).
        weight: Weight of their mean loss relative to that of the real images.
        kept_share: Share of the requested images that selection kept, or that have a confident
            name; 1 without selection. A scalar on the device if the host does not know it.
    """

    images: Tensor
    labels: Tensor
    weight: float
    kept_share: float | Tensor = 1.0


Key = tuple[int, Purpose, *tuple[int, ...]]
"""Key of a batch's random numbers: seed, purpose and counters."""


def augmented_batch(
    images: Tensor, labels: Tensor, data: DeviceData, training: ClassifierTraining, key: Key
) -> Batch:
    """Return A(images) and their labels.

    ``randaugment`` and CutMix are torchvision's; the former is applied image by image. They draw
    from torch's global random state, which is seeded here. Images that ``affine`` or
    ``randaugment`` would blank are left unchanged: RandAugment inverts pixels above a threshold,
    which turns one in eight black-and-white images black.

    Args:
        images: ``[n, channels, size, size]``, uint8, or float32 in [-1, 1].
        labels: ``[n]`` int64.
        data: Whether images may be mirrored, and the number of classes.
        training: The augmentations.
        key: The same key gives the same batch.
    """
    images = _augmented(images, data, training, key)
    if training.cutmix > 0:
        seed_global(*key, "cutmix")
        if torch.rand(()) < training.cutmix:
            return _mixed(images, labels, data.num_classes)
    return images, labels


def smoothed(labels: Tensor, smoothing: float, num_classes: int) -> Tensor:
    """Return labels smoothed like ``label_smoothing`` of cross-entropy; unchanged if it is 0.

    Args:
        labels: ``[n]`` int64, or ``[n, num_classes]`` float32.
        smoothing: In [0, 1).
        num_classes: Number of classes.
    """
    if smoothing == 0:
        return labels
    soft = F.one_hot(labels, num_classes).float() if labels.ndim == 1 else labels
    return soft * (1 - smoothing) + smoothing / num_classes


def weighted(labels: Tensor, weights: Tensor | None) -> Tensor:
    """Return labels whose cross-entropy is that of the class times its weight.

    Args:
        labels: ``[n]`` int64, or ``[n, num_classes]`` float32.
        weights: ``[num_classes]``; None: labels are returned unchanged.
    """
    if weights is None:
        return labels
    soft = F.one_hot(labels, len(weights)).float() if labels.ndim == 1 else labels
    return soft * weights


def _augmented(images: Tensor, data: DeviceData, training: ClassifierTraining, key: Key) -> Tensor:
    """Return A(images) as float32."""
    originals = to_float(images) if images.dtype == torch.uint8 else images
    changed = originals
    if training.augmentation == "randaugment":
        seed_global(*key, "strong")
        changed = _rand_augment(images if images.dtype == torch.uint8 else to_uint8(images))
    changed = classifier_augmentation(
        changed,
        max_shift=training.shift,
        flip=data.flip,
        generator=stream(*key, device=images.device),
        move=affine if training.augmentation == "affine" else shift,
    )
    return changed if training.augmentation == "shift" else without_blanks(changed, originals)


def _rand_augment(images: Tensor) -> Tensor:
    """Return uint8 images as float32, each augmented by its own operations."""
    from torchvision.transforms.v2 import RandAugment

    change = RandAugment()
    return to_float(torch.stack([change(image) for image in images]))


def _mixed(images: Tensor, labels: Tensor, num_classes: int) -> Batch:
    from torchvision.transforms.v2 import CutMix

    mixed: Batch = CutMix(num_classes=num_classes)(images, labels)
    return mixed
