"""The GAN's losses, and their class-dependent terms: triplets, wrong labels, diversity."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.compute.random_streams import integers
from distill_tune.distill.configuration.joint_training import Pairing
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import (
    FeatureNorm,
    mode_seeking_loss,
    normalise,
    triplet_loss,
)
from distill_tune.distill.pairing import Pairs, match
from distill_tune.errors import DivergedError
from distill_tune.interfaces import Metrics


class GanLosses(NamedTuple):
    """Scalars of one generator step, on the device, without gradient.

    Attributes:
        generator: Adversarial loss of G.
        discriminator: Loss of D in its last step, including the penalty.
        triplet: L_dist, 0 if its weight is 0.
        active: Share of anchors whose hinge is positive.
    """

    generator: Tensor
    discriminator: Tensor
    triplet: Tensor
    active: Tensor


def gan_metrics(losses: list[GanLosses], when: str) -> Metrics:
    """Return the mean losses of some generator steps; empty without steps.

    Raises:
        DivergedError: A mean is not finite.
    """
    if not losses:
        return {}
    names = {
        "generator": "loss/generator",
        "discriminator": "loss/discriminator",
        "triplet": "loss/triplet",
        "active": "triplet/active_share",
    }
    means = torch.stack([torch.stack(step) for step in losses]).mean(0)
    if not bool(torch.isfinite(means).all()):
        raise DivergedError("diverged", f"a loss of the GAN is not finite in {when}")
    return dict(zip(names.values(), means.tolist(), strict=True))


class Made(NamedTuple):
    """Forward passes of a generator step, with gradient.

    Attributes:
        fake: Synthetic images ``[n, channels, size, size]`` in [-1, 1].
        adversarial: Their loss, a scalar.
        anchors: Their features in Fs ``[n, d]``; None without the triplet loss.
    """

    fake: Tensor
    adversarial: Tensor
    anchors: Tensor | None


class Targets(NamedTuple):
    """Real images that each synthetic one is compared with.

    Attributes:
        hard: Features of the hard ones ``[n, d]``, float32.
        easy: Features of the easy ones ``[n, d]``.
        weights: ``[n]`` float32: 1, or 0 where there is no pair.
    """

    hard: Tensor
    easy: Tensor
    weights: Tensor


def anchors_of(
    features: Callable[[Tensor], Tensor], images: Tensor, feature_norm: FeatureNorm
) -> Tensor:
    """Return features of synthetic images ``[n, d]``, in float32 even under autocast.

    Args:
        features: Those of Fs, in eval mode, with parameters that require no gradient.
        images: ``[n, channels, size, size]`` in [-1, 1], with gradient.
        feature_norm: Normalisation of the features.
    """
    with torch.autocast(images.device.type, enabled=False):
        return normalise(features(images.float()), feature_norm)


@torch.no_grad()
def targets_of(
    anchors: Tensor, labels: Tensor, sets: HardSets, pairing: Pairing, drawn: Pairs
) -> Targets:
    """Return what the anchors are compared with; the host matches them where ``pairing`` does so.

    Args:
        anchors: From :func:`anchors_of`.
        labels: Of the synthetic images, ``[n]``.
        sets: Hard and easy images according to Fs.
        pairing: How pairs are matched.
        drawn: Pairs of hard and easy images, before they are matched.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        pairs = match(anchors, labels, sets, pairing, drawn)
    return Targets(sets.features[pairs.hard], sets.features[pairs.easy], pairs.weights)


def weighted_hinge(anchors: Tensor, targets: Targets, limits: tuple[Tensor, Tensor]) -> Tensor:
    """Return the triplet loss's hinge of every image, in float32 even under autocast.

    Args:
        anchors: From :func:`anchors_of`.
        targets: From :func:`targets_of`.
        limits: Margin and unit, scalars.
    """
    margin, unit = limits
    with torch.autocast(anchors.device.type, enabled=False):
        hinge = triplet_loss(anchors, targets.hard, targets.easy, margin=margin, unit=unit)
    return hinge * targets.weights


def in_pairs(labels: Tensor) -> Tensor:
    """Return labels ``[n]`` whose second half repeats the first; an odd last label is kept."""
    half = len(labels) // 2
    return torch.cat([labels[:half], labels[:half], labels[2 * half :]])


def sameness(images: Tensor, labels: Tensor, spreads: Tensor) -> Tensor:
    """Return the mode-seeking term of images with labels from :func:`in_pairs`.

    Args:
        images: ``[n, channels, size, size]``, with gradient.
        labels: ``[n]``.
        spreads: Mean difference of two real images of each class, ``[num_classes]``.
    """
    half = len(images) // 2
    return mode_seeking_loss(images[:half], images[half : 2 * half], spreads[labels[:half]])


def other_labels(labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Return one of the other classes for every label, with equal probabilities."""
    moves = integers(num_classes - 1, tuple(labels.shape), generator)
    return (labels + 1 + moves) % num_classes
