"""Pairing of synthetic images with the hard and easy samples they are compared with."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill_tune.distill.compute.random_streams import uniform
from distill_tune.distill.configuration.joint_training import Pairing
from distill_tune.distill.hardness import HardSets


class Pairs(NamedTuple):
    """Indices of training images for every anchor.

    Attributes:
        hard: ``[n]`` int64.
        easy: ``[n]`` int64.
        weights: ``[n]`` float32: 1, or 0 for an anchor whose class has no hard or easy image.
    """

    hard: Tensor
    easy: Tensor
    weights: Tensor


def pair(
    anchors: Tensor, labels: Tensor, sets: HardSets, pairing: Pairing, generator: torch.Generator
) -> Pairs:
    """Draw a hard and an easy sample for every anchor.

    Args:
        anchors: Features of synthetic images ``[n, d]``; only ``assign`` and ``contrast`` use
            them.
        labels: Their classes ``[n]``.
        sets: The current hard and easy sets.
        pairing: ``class``: at random within the class. ``assign``: the same draw, then hard
            samples and anchors of a class are matched one to one with the smallest total
            distance, which makes the first term a mini-batch Wasserstein-1 distance.
            ``contrast``: hard samples as in ``assign``, easy ones over all classes: with pairs
            within a class, nothing stops an anchor that has moved past its hard sample, away from
            the easy one, towards another class. ``any``: both at random over all classes (the
            poster's formula read literally).
        generator: On the device of the anchors.
    """
    return match(anchors, labels, sets, pairing, draw_pairs(labels, sets, pairing, generator))


def draw_pairs(
    labels: Tensor, sets: HardSets, pairing: Pairing, generator: torch.Generator
) -> Pairs:
    """Draw a hard and an easy sample for every label ``[n]``, before anything is matched."""
    numbers = uniform((2, len(labels)), generator)
    hard_pools, easy_pools = sets.hard_pools, sets.easy_pools
    of_hard = of_easy = labels
    if pairing == "any":
        hard_pools, of_hard = sets.any_hard, torch.zeros_like(labels)
    if pairing in {"any", "contrast"}:
        easy_pools, of_easy = sets.any_easy, torch.zeros_like(labels)
    hard = hard_pools.draw(of_hard, numbers[0])
    easy = easy_pools.draw(of_easy, numbers[1])
    has_pair = (hard_pools.counts[of_hard] > 0) & (easy_pools.counts[of_easy] > 0)
    return Pairs(hard, easy, has_pair.float())


def match(anchors: Tensor, labels: Tensor, sets: HardSets, pairing: Pairing, drawn: Pairs) -> Pairs:
    """Return drawn pairs, with hard samples matched to the anchors where ``pairing`` does so."""
    if pairing not in {"assign", "contrast"}:
        return drawn
    return drawn._replace(hard=assign(anchors.detach(), drawn.hard, labels, sets.features))


def assign(anchors: Tensor, hard: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return ``hard`` permuted within each class to minimise the total distance.

    The solver runs on the host: one transfer from the device, one back.

    Args:
        anchors: ``[n, d]`` without gradient.
        hard: ``[n]`` indices into ``features``, drawn class by class.
        labels: ``[n]``.
        features: ``[num_train, d]``.
    """
    # Imported here, as a search's driver does not need it, and it takes a second.
    from scipy.optimize import linear_sum_assignment

    distances = torch.cdist(anchors, features[hard], compute_mode="donot_use_mm_for_euclid_dist")
    # Non-finite values are reported with the loss; here they would make the solver fail.
    distances = distances.nan_to_num(posinf=0.0)
    table = torch.cat([distances, labels[:, None].to(distances.dtype)], dim=1).cpu().numpy()
    numbers = table[:, -1]
    order = np.arange(len(numbers))
    for number in np.unique(numbers):
        members = np.flatnonzero(numbers == number)
        rows, columns = linear_sum_assignment(table[np.ix_(members, members)])
        order[members[rows]] = members[columns]
    return hard[torch.from_numpy(order).to(hard.device)]
