"""Measures of the diversity of images or features: distances, ranks, the Vendi score, KID."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from distill_tune.distill.compute.device_data import ClassPools
from distill_tune.distill.compute.large_images import column_blocks, pixels_of

_MOST_OF_CLASS = 100


def within_class_distance(features: Tensor, labels: Tensor) -> float:
    """Return the mean over classes of the mean distance between two members; 0 without pairs.

    Args:
        features: ``[n, d]`` float32, or images ``[n, channels, size, size]`` uint8 or in [-1, 1].
        labels: ``[n]``.
    """
    means = []
    for number in labels.unique():
        members = features[labels == number]
        if len(members) > 1:
            means.append(pair_distances(members).mean())
    return torch.stack(means).mean().item() if means else 0.0


def pair_distances(members: Tensor) -> Tensor:
    """Return the distances of all pairs of ``[n, d]`` features or of images."""
    blocks = column_blocks(members.flatten(1))
    if len(blocks) == 1:
        return torch.nn.functional.pdist(pixels_of(members))
    total = torch.zeros((), device=members.device)
    for block in blocks:
        total = total + torch.nn.functional.pdist(pixels_of(block)).square()
    return total.sqrt()


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

    Args:
        features: ``[n, d]`` float32, or images ``[n, channels, size, size]`` uint8 or in [-1, 1].
    """
    if len(features) < 2:
        return 0.0
    variances, squares = _variances(features.flatten(1))
    total = variances.sum()
    if total <= 1e-12 * squares:
        return 0.0
    return _exp_entropy(variances / total)


def _variances(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the covariance's eigenvalues times n, float64, and the sum of squares of rows."""
    blocks = column_blocks(rows)
    if len(blocks) == 1 or len(rows) > rows.shape[1]:
        values = pixels_of(rows)
        return _squared_singular_values(values - values.mean(0)), values.square().sum()
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    squares = torch.zeros((), device=rows.device)
    for block in blocks:
        values = pixels_of(block)
        squares = squares + values.square().sum()
        centred = (values - values.mean(0)).double()
        gram.addmm_(centred, centred.T)
    return _eigenvalues(gram), squares


def vendi_score(features: Tensor) -> float:
    """Return the Vendi score with a cosine kernel (Friedman & Dieng 2023, arXiv:2210.02410).

    1 = all images identical, n = all orthogonal.
    """
    unit = torch.nn.functional.normalize(features, dim=1)
    return _exp_entropy(_squared_singular_values(unit) / len(unit))


@dataclass(frozen=True)
class FeatureSet:
    """Features of images and their measures, each computed once, when it is first needed.

    Attributes:
        features: ``[n, d]`` float32; not changed afterwards.
        labels: ``[n]`` int64.
    """

    features: Tensor
    labels: Tensor

    @cached_property
    def spread(self) -> float:
        """Mean distance within a class."""
        return within_class_distance(self.features, self.labels)

    @cached_property
    def rank(self) -> float:
        """Effective rank."""
        return effective_rank(self.features)

    @cached_property
    def norm(self) -> float:
        """Mean norm of the features."""
        return mean_norm(self.features)

    @cached_property
    def self_similarity(self) -> Tensor:
        """Mean of the kernel over pairs of different images: float64 scalar."""
        matrix, n = _kernel(self.features, self.features), len(self.features)
        return (matrix.sum() - matrix.diagonal().sum()) / (n * (n - 1))


def mean_norm(vectors: Tensor) -> float:
    """Return the mean Euclidean norm of ``vectors [n, d]``."""
    return float(torch.linalg.vector_norm(vectors, dim=1).mean())


def kernel_distance(first: FeatureSet, second: FeatureSet) -> float:
    """Return the unbiased squared MMD with the kernel ``(x.y / d + 1)^3``: KID of these features.

    Binkowski et al. 2018, arXiv:1801.01401. It can be slightly below 0, and is 0 instead of NaN if
    either argument has fewer than two samples.
    """
    if min(len(first.features), len(second.features)) < 2:
        return 0.0
    across = _kernel(first.features, second.features).mean()
    return (first.self_similarity + second.self_similarity - 2 * across).item()


def energy_distances(one: FeatureSet, other: FeatureSet, classes: Tensor) -> Tensor:
    """Return the squared energy distance within each class: 0 if both are distributed alike.

    Szekely and Rizzo 2013, "Energy statistics"; unbiased, and so sometimes below 0.

    Args:
        one: Some images.
        other: Others.
        classes: ``[n]`` labels.

    Returns:
        ``[n]`` float64; NaN for a class without two images in both.
    """
    found = torch.full((len(classes),), math.nan, dtype=torch.float64)
    for place, number in enumerate(classes):
        first, second = (each.features[each.labels == number].double() for each in (one, other))
        if min(len(first), len(second)) > 1:
            within = pair_distances(first).mean() + pair_distances(second).mean()
            found[place] = 2 * torch.cdist(first, second).mean() - within
    return found


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first.double() @ second.double().T / first.shape[1] + 1) ** 3


def _squared_singular_values(matrix: Tensor) -> Tensor:
    """Compute them from the smaller Gram matrix, in float64: much faster than an SVD."""
    matrix = matrix.double()
    return _eigenvalues(matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix)


def _eigenvalues(gram: Tensor) -> Tensor:
    try:
        values: Tensor = torch.linalg.eigvalsh(gram)
    except RuntimeError:
        # On a GPU, cuSOLVER may fail on a matrix of low rank, which must not end a trial.
        values = torch.linalg.eigvalsh(gram.cpu()).to(gram.device)
    return values.clamp_min(0.0)


def _exp_entropy(shares: Tensor) -> float:
    shares = shares[shares > 1e-12]
    return math.exp(-(shares * shares.log()).sum().item())
