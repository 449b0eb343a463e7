"""Measures of the diversity of images or features: distances, ranks, the Vendi score."""

import math

import torch
from torch import Tensor

from distill_tune.distill.compute.device_data import ClassPools

_MOST_OF_CLASS = 100


def within_class_distance(features: Tensor, labels: Tensor) -> float:
    """Return the mean over classes of the mean distance between two members; 0 without pairs."""
    means = []
    for number in labels.unique():
        members = features[labels == number]
        if len(members) > 1:
            means.append(torch.nn.functional.pdist(members).mean())
    return torch.stack(means).mean().item() if means else 0.0


def class_spreads(images: Tensor, pools: ClassPools) -> Tensor:
    """Return the mean absolute difference of two images of each class; 0 for a single image.

    Args:
        images: ``[n, channels, size, size]`` uint8.
        pools: Their indices by class; the first hundred of each are compared.

    Returns:
        ``[num_classes]`` float32, for images scaled to [-1, 1].
    """
    spreads = []
    for row, count in zip(pools.indices, pools.counts.tolist(), strict=True):
        members = images[row[: min(count, _MOST_OF_CLASS)]].flatten(1).float() / 127.5
        num_pairs = len(members) * (len(members) - 1) / 2
        total = torch.nn.functional.pdist(members, p=1).sum()
        spreads.append(total / max(num_pairs, 1) / members.shape[1])
    return torch.stack(spreads)


def effective_rank(features: Tensor) -> float:
    """Return the exponential of the entropy of the covariance's eigenvalues.

    Roy & Vetterli 2007, "The effective rank".
    """
    if len(features) < 2:
        return 0.0
    variances = _squared_singular_values(features - features.mean(0))
    total = variances.sum()
    if total <= 1e-12 * features.square().sum():
        return 0.0
    return _exp_entropy(variances / total)


def vendi_score(features: Tensor) -> float:
    """Return the Vendi score with a cosine kernel (Friedman & Dieng 2023, arXiv:2210.02410).

    1 = all images identical, n = all orthogonal.
    """
    unit = torch.nn.functional.normalize(features, dim=1)
    return _exp_entropy(_squared_singular_values(unit) / len(unit))


def _squared_singular_values(matrix: Tensor) -> Tensor:
    """Compute them from the smaller Gram matrix, in float64: much faster than an SVD."""
    matrix = matrix.double()
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0.0)


def _exp_entropy(shares: Tensor) -> float:
    shares = shares[shares > 1e-12]
    return math.exp(-(shares * shares.log()).sum().item())
