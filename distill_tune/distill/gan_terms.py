"""Terms of the GAN's losses that know classes: triplets, wrong labels, diversity within a class."""

import torch
from torch import Tensor

from distill_tune.distill.backbones.classifier import Classifier
from distill_tune.distill.compute.random_streams import integers
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import (
    margin_and_unit,
    mode_seeking_loss,
    normalise,
    triplet_loss,
)
from distill_tune.distill.pairing import pair
from distill_tune.distill.trial_config import JointTraining


def weighted_hinge(
    snapshot: Classifier,
    sets: HardSets,
    joint: JointTraining,
    asked: tuple[Tensor, Tensor],
    generator: torch.Generator,
) -> Tensor:
    """Return the triplet loss's hinge of every image, in float32 whatever the surroundings.

    Args:
        snapshot: Fs, in eval mode with parameters that take no gradient.
        sets: Hard and easy images as Fs sees them.
        joint: Pairing, margin and units.
        asked: Images ``[n, channels, size, size]`` in [-1, 1], with gradient, and their labels
            ``[n]``.
        generator: Draws the pairs.
    """
    images, labels = asked
    with torch.autocast(images.device.type, enabled=False):
        anchors = normalise(snapshot.features(images.float()), joint.feature_norm)
        pairs = pair(anchors, labels, sets, joint.pairing, generator)
        margin, unit = margin_and_unit(
            joint.margin,
            scale=sets.scale,
            feature_norm=joint.feature_norm,
            margin_unit=joint.margin_unit,
        )
        hinge = triplet_loss(
            anchors,
            sets.features[pairs.hard],
            sets.features[pairs.easy],
            margin=margin,
            unit=unit,
        )
    return hinge * pairs.weights


def in_pairs(labels: Tensor) -> Tensor:
    """Return labels ``[n]`` whose second half repeats the first; an odd last one stays."""
    half = len(labels) // 2
    return torch.cat([labels[:half], labels[:half], labels[2 * half :]])


def sameness(images: Tensor, labels: Tensor, spreads: Tensor) -> Tensor:
    """Return the mode-seeking term of images whose labels are :func:`in_pairs`.

    Args:
        images: ``[n, channels, size, size]``, with gradient.
        labels: ``[n]``.
        spreads: How much two real images of each class differ, ``[num_classes]``.
    """
    half = len(images) // 2
    return mode_seeking_loss(images[:half], images[half : 2 * half], spreads[labels[:half]])


def other_labels(labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Return for every label one of the other classes, each as likely."""
    moves = integers(num_classes - 1, tuple(labels.shape), generator)
    return (labels + 1 + moves) % num_classes
