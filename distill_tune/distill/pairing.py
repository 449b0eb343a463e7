"""Which hard and which easy sample a synthetic image is compared with."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from distill_tune.distill.data import ClassPools
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.streams import uniform

Pairing = Literal["assign", "class", "any"]


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
        anchors: Features of synthetic images ``[n, d]``; only ``assign`` looks at them.
        labels: Their classes ``[n]``.
        sets: The current hard and easy sets.
        pairing: ``class``: at random within the class. ``assign``: the same draw, then hard
            samples and anchors of a class matched one to one at least total distance, which
            makes the first term a mini-batch Wasserstein-1 distance. ``any``: at random over
            all classes (the poster's formula read literally).
        generator: On the device of the anchors.
    """
    numbers = uniform((2, len(labels)), generator)
    hard_pools, easy_pools = sets.hard_pools, sets.easy_pools
    if pairing == "any":
        hard_pools, easy_pools = sets.any_hard, sets.any_easy
        labels = torch.zeros_like(labels)
    hard = hard_pools.draw(labels, numbers[0])
    easy = easy_pools.draw(labels, numbers[1])
    if pairing == "assign":
        hard = assign(anchors.detach(), hard, labels, sets.features)
    return Pairs(hard, easy, _has_pair(labels, hard_pools, easy_pools))


def assign(anchors: Tensor, hard: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return ``hard`` permuted within each class so that the summed distance is least.

    The solver runs on the host: once there, once back.

    Args:
        anchors: ``[n, d]`` without gradient.
        hard: ``[n]`` indices into ``features``, drawn class by class.
        labels: ``[n]``.
        features: ``[num_train, d]``.
    """
    distances = torch.cdist(anchors, features[hard], compute_mode="donot_use_mm_for_euclid_dist")
    # What is not finite shows in the loss; here it would only be an error of the solver's.
    distances = distances.nan_to_num(posinf=0.0)
    table = torch.cat([distances, labels[:, None].to(distances.dtype)], dim=1).cpu().numpy()
    numbers = table[:, -1]
    order = np.arange(len(numbers))
    for number in np.unique(numbers):
        members = np.flatnonzero(numbers == number)
        rows, columns = linear_sum_assignment(table[np.ix_(members, members)])
        order[members[rows]] = members[columns]
    return hard[torch.from_numpy(order).to(hard.device)]


def _has_pair(labels: Tensor, hard: ClassPools, easy: ClassPools) -> Tensor:
    return ((hard.counts[labels] > 0) & (easy.counts[labels] > 0)).float()
