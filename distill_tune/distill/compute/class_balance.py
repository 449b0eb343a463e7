"""Weights and shares by which rare or difficult classes count for more."""

import torch
from torch import Tensor

from distill_tune.distill.configuration.joint_training import ClassRatio
from distill_tune.distill.trial_config import ClassifierTraining

_BETA = 0.999
"""Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019."""
_LEAST = 0.1
"""Least share of a class, relative to an equal one."""


def class_weights(counts: Tensor, training: ClassifierTraining) -> Tensor | None:
    """Return the weight of every class in the loss of real images; None if all have the same.

    The mean weight over the images that an epoch shows is 1.

    Args:
        counts: ``[num_classes]``, training images of each class.
        training: The rule, and how often an epoch shows each class.

    Returns:
        ``[num_classes]`` float32 on the device of ``counts``.
    """
    if training.class_weights == "none":
        return None
    numbers = counts.double()
    effective = numbers
    if training.class_weights == "effective_number":
        effective = (1 - _BETA**numbers) / (1 - _BETA)
    weights = torch.where(counts > 0, 1 / effective.clamp(min=1), 0.0)
    shown = (counts > 0).double() if training.sampling == "balanced" else numbers
    return (weights * shown.sum() / (weights * shown).sum()).float()


def class_shares(rule: ClassRatio, counts: Tensor, losses: Tensor, labels: Tensor) -> Tensor | None:
    """Return the share of every class among synthetic images; None if all have the same.

    Args:
        rule: ``inverse``: in inverse proportion to the training images; ``by_error``: in proportion
            to the mean of 1 - exp(-loss) over them. No class gets less than a tenth of an equal
            share.
        counts: ``[num_classes]``, training images of each class.
        losses: ``[n]``, cross-entropy of each training image, as measured to label hard ones.
        labels: ``[n]``, their classes.

    Returns:
        ``[num_classes]`` float64, with a sum of 1.
    """
    if rule == "uniform":
        return None
    if rule == "inverse":
        wanted = 1 / counts.double().clamp(min=1)
    else:
        wanted = torch.zeros(len(counts), dtype=torch.float64, device=counts.device)
        wanted.index_add_(0, labels, -torch.expm1(-losses.double()))
        wanted /= counts.clamp(min=1)
    total = wanted.sum()
    equal = torch.full_like(wanted, 1 / len(counts))
    shares = torch.where(total > 0, wanted / total.clamp(min=1e-12), equal)
    return (1 - _LEAST) * shares + _LEAST * equal


def drawn_classes(shares: Tensor, numbers: Tensor) -> Tensor:
    """Return classes ``[n]`` int64 drawn with these shares.

    Args:
        shares: ``[num_classes]``, with a sum of 1.
        numbers: ``[n]`` uniform in [0, 1).
    """
    return torch.searchsorted(shares.cumsum(0), numbers.double()).clamp(max=len(shares) - 1)
