"""The losses of the method, as functions of tensors."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

FeatureNorm = Literal["scale", "none", "l2"]
MarginUnit = Literal["relative", "feature"]


def triplet_loss(
    anchors: Tensor,
    hard: Tensor,
    easy: Tensor,
    *,
    margin: float | Tensor,
    unit: float | Tensor = 1.0,
) -> Tensor:
    """Return the hinge of every triplet (the poster's L_dist before averaging).

    ``max(|a - h| / unit - |a - e| / unit + margin, 0)``; with ``unit`` 1 its mean equals
    ``torch.nn.functional.triplet_margin_loss`` except for the latter's epsilon.

    Args:
        anchors: Features of synthetic images ``[n, d]``, float32, with gradient.
        hard: Features of hard real images ``[n, d]``.
        easy: Features of easy real images ``[n, d]``.
        margin: m, in units of ``unit``.
        unit: Distance that counts as 1.

    Returns:
        ``[n]``, not averaged: the method averages over all of them, including zeros.
    """
    distance_hard = torch.linalg.vector_norm(anchors - hard, dim=1)
    distance_easy = torch.linalg.vector_norm(anchors - easy, dim=1)
    hinge: Tensor = ((distance_hard - distance_easy) / unit + margin).clamp_min(0.0)
    return hinge


def discriminator_hinge(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the discriminator's hinge loss (Lim & Ye 2017, arXiv:1705.02894)."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def mismatch_hinge(logits: Tensor) -> Tensor:
    """Return the discriminator's loss on real images with wrong labels, which count as fake.

    Reed et al. 2016, "Generative adversarial text to image synthesis", arXiv:1605.05396, 4.1.

    Args:
        logits: ``[n]``.
    """
    return F.relu(1 + logits).mean()


def generator_hinge(fake_logits: Tensor) -> Tensor:
    """Return the generator's side of the hinge loss."""
    return -fake_logits.mean()


def lecam_penalty(
    real_logits: Tensor, fake_logits: Tensor, real_average: Tensor, fake_average: Tensor
) -> Tensor:
    """Return LeCam's penalty (Tseng et al., CVPR 2021, arXiv:2104.03310, equation 3).

    Args:
        real_logits: ``[n]``.
        fake_logits: ``[n]``.
        real_average: Moving average of the mean real logit, a scalar without gradient.
        fake_average: Moving average of the mean fake logit.
    """
    return (
        F.relu(real_logits - fake_average).square().mean()
        + F.relu(real_average - fake_logits).square().mean()
    )


def mode_seeking_loss(images: Tensor, others: Tensor, goals: Tensor) -> Tensor:
    """Return the mode-seeking term, after Mao et al., CVPR 2019, arXiv:1903.05628.

    ``1 - min(|G(z1, y) - G(z2, y)| / goal, 1)`` in mean absolute differences. The goal replaces
    the paper's ``|z1 - z2|``: the term is 0 once synthetic images differ as much as real ones.

    Args:
        images: ``G(z1, y)``, ``[n, c, s, s]``.
        others: ``G(z2, y)`` for the same classes.
        goals: Mean absolute difference of two real images of each pair's class, ``[n]``.
    """
    distances = (images - others).abs().mean(dim=(1, 2, 3))
    return (1 - (distances / goals.clamp_min(1e-5)).clamp_max(1.0)).mean()


def normalise(features: Tensor, feature_norm: FeatureNorm) -> Tensor:
    """Return features as the loss uses them: on the unit sphere for ``l2``, otherwise as is."""
    return F.normalize(features, dim=1) if feature_norm == "l2" else features


def margin_and_unit(
    margin: float, *, scale: float, feature_norm: FeatureNorm, margin_unit: MarginUnit
) -> tuple[float, float]:
    """Return ``(margin, unit)`` for :func:`triplet_loss`.

    Args:
        margin: As configured.
        scale: s, the median distance between a hard and an easy sample of one class.
        feature_norm: ``scale``: distances in units of s; ``none`` and ``l2``: unscaled.
        margin_unit: ``relative``: the margin is a multiple of s; ``feature``: it is literal.
    """
    literal = margin * scale if margin_unit == "relative" else margin
    unit = scale if feature_norm == "scale" else 1.0
    return literal / unit, unit
