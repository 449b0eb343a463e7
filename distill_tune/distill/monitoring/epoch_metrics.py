"""Metrics of the generator's health for fixed ``(z, y)``, in F_ref's feature space, every epoch.

F_ref is the classifier at the end of stage 1: the classifier itself changes, and trends need a
fixed baseline.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.gan_steps import GanTrainer, Latent
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import generator_hinge
from distill_tune.distill.monitoring.diversity import (
    effective_rank,
    vendi_score,
    within_class_distance,
)
from distill_tune.distill.monitoring.evaluation import evaluating, features_and_logits
from distill_tune.interfaces import COLLAPSE_RATIO, Metrics, Split

WARNING_RATIO = 0.5
_BORDER = 0.1
_GRADIENT_IMAGES = 32
_MOST_REAL = 1000


@dataclass(frozen=True)
class Reference:
    """The fixed baseline of a trial's monitors: latent vectors, features and pixels of real images.

    Attributes:
        latent: The fixed ``(z, y)``.
        train: ``[n, d]`` features of the training images in F_ref.
        train_pixels: ``[n, pixels]`` in [-1, 1].
        real_distance: Median pixel distance of a validation image to its nearest training image,
            which is typical of distinct images of this data.
        real_spread: Mean pixel distance between two training images of a class.
    """

    latent: Latent
    train: Tensor
    train_pixels: Tensor
    real_distance: float
    real_spread: float

    @classmethod
    def measure(cls, trainer: GanTrainer) -> "Reference":
        """Return the baseline for a trial whose F_ref is trained."""
        data = trainer.data
        features, _ = features_and_logits(trainer.state.reference, data.train.images)
        pixels = _pixels(data.train.images)
        count = min(len(data.val.labels), trainer.config.joint.monitor_images)
        some_validation = _pixels(_evenly(data.val, count).images)
        latent = trainer.latent("monitor", trainer.config.joint.monitor_images)
        some_train = _some(torch.arange(len(pixels), device=pixels.device))
        spread = within_class_distance(pixels[some_train], data.train.labels[some_train])
        return cls(latent, features, pixels, _nearest(some_validation, pixels), spread)


def measure(trainer: GanTrainer, reference: Reference, images: Tensor, sets: HardSets) -> Metrics:
    """Return health metrics of images generated for ``reference.latent.labels``.

    Args:
        trainer: Provides F_ref and the data.
        reference: The fixed baseline.
        images: ``[n, channels, size, size]`` in [-1, 1].
        sets: Current hard and easy training images.

    Returns:
        ``diversity`` and ``rank_ratio`` (synthetic over real hard images; below 0.5 a warning,
        below 0.25 collapse), ``vendi``, ``pixel_diversity``, ``kid_hard``, ``kid_all``,
        ``border_share``, ``label_agreement``, ``nearest_ratio`` (distance to the nearest
        training image over ``real_distance``; near 0 = copies), ``feature_norm_ratio``.
    """
    data = trainer.data
    features, logits = features_and_logits(trainer.state.reference, images)
    labels, real_labels = reference.latent.labels, data.train.labels
    reference_rows = _some(_reference_mask(sets.hard, real_labels).nonzero().squeeze(1))
    hard = reference.train[reference_rows]
    top = logits.softmax(1).topk(2, dim=1).values
    pixels = _pixels(images)
    return {
        "diversity": _ratio(
            within_class_distance(features, labels),
            within_class_distance(hard, real_labels[reference_rows]),
        ),
        "rank_ratio": _ratio(effective_rank(features), effective_rank(hard)),
        "vendi": vendi_score(features),
        "pixel_diversity": _ratio(within_class_distance(pixels, labels), reference.real_spread),
        "kid_hard": kernel_distance(features, hard),
        "kid_all": kernel_distance(features, _some(reference.train)),
        "border_share": ((top[:, 0] - top[:, 1]) < _BORDER).float().mean().item(),
        "label_agreement": (logits.argmax(1) == labels).float().mean().item(),
        "nearest_ratio": _ratio(_nearest(pixels, reference.train_pixels), reference.real_distance),
        "feature_norm_ratio": _ratio(_mean_norm(features), _mean_norm(hard)),
    }


def is_collapsed(metrics: Metrics) -> bool:
    """Return whether metrics of :func:`measure` show collapse: below 0.25 of real diversity."""
    return min(metrics["diversity"], metrics["rank_ratio"]) < COLLAPSE_RATIO


def is_warning(metrics: Metrics) -> bool:
    """Return whether diversity is below half of that of real hard images."""
    return min(metrics["diversity"], metrics["rank_ratio"]) < WARNING_RATIO


def gradient_norms(trainer: GanTrainer) -> Metrics:
    """Return mean gradient norms per image of L_adv and lambda L_dist at G's output."""
    gan, joint = trainer.state.gan, trainer.config.joint
    latent = trainer.latent("monitor", _GRADIENT_IMAGES, 1)
    fake = trainer.synthesise(latent).requires_grad_()
    with evaluating(gan.discriminator):
        logits = gan.discriminator(fake, latent.labels, trainer.class_signal())
        (adversarial,) = torch.autograd.grad(generator_hinge(logits), fake)
    norms = {"gradient_adversarial": _mean_norm(adversarial.flatten(1)) * len(fake)}
    if joint.triplet_weight > 0:
        hinge = trainer.triplet_hinge(fake, latent.labels, -1).mean()
        (triplet,) = torch.autograd.grad(hinge, fake)
        norms["gradient_triplet"] = (
            joint.triplet_weight * _mean_norm(triplet.flatten(1)) * len(fake)
        )
    return norms


@torch.no_grad()
def discriminator_gap(trainer: GanTrainer) -> float:
    """Return D's mean logit on training images minus that on validation images.

    A growing gap means that D memorises the training images.
    """
    discriminator = trainer.state.gan.discriminator
    means = []
    with evaluating(discriminator):
        for split in _equal_parts(trainer.data):
            images = _pixels(split.images).view(split.images.shape)
            logits = discriminator(images, split.labels, trainer.class_signal())
            means.append(logits.mean())
    return float(means[0] - means[1])


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Return the unbiased squared MMD with the kernel ``(x.y / d + 1)^3``: KID of these features.

    Binkowski et al. 2018, arXiv:1801.01401. It can be slightly below 0, and is 0 instead of NaN if
    either argument has fewer than two samples.
    """
    if min(len(first), len(second)) < 2:
        return 0.0
    size = first.shape[1]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double().T / size + 1) ** 3

    def mean_off_diagonal(matrix: Tensor) -> Tensor:
        n = len(matrix)
        return (matrix.sum() - matrix.diagonal().sum()) / (n * (n - 1))

    return (
        mean_off_diagonal(kernel(first, first))
        + mean_off_diagonal(kernel(second, second))
        - 2 * kernel(first, second).mean()
    ).item()


def _reference_mask(hard: Tensor, labels: Tensor) -> Tensor:
    """Return the mask of hard images, or of all images if no class has two hard ones."""
    counts = torch.bincount(labels[hard], minlength=1)
    return hard if int(counts.max()) > 1 else torch.ones_like(hard)


def _some(rows: Tensor) -> Tensor:
    """Return at most ``_MOST_REAL`` evenly spaced rows, to bound the cost for large data."""
    if len(rows) <= _MOST_REAL:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, _MOST_REAL, device=rows.device).long()]


def _equal_parts(data: DeviceData) -> tuple[Split, Split]:
    count = min(len(data.train.labels), len(data.val.labels), 1000)
    return _evenly(data.train, count), _evenly(data.val, count)


def _evenly(split: Split, count: int) -> Split:
    """Return ``count`` evenly spaced images of a split, which may be sorted by class."""
    chosen = torch.arange(count, device=split.labels.device) * len(split.labels) // count
    return Split(split.images[chosen], split.labels[chosen])


def _pixels(images: Tensor) -> Tensor:
    values = images.flatten(1).float()
    return values / 127.5 - 1 if images.dtype == torch.uint8 else values


def _nearest(images: Tensor, others: Tensor) -> float:
    return float(torch.cdist(images, others).min(dim=1).values.median())


def _mean_norm(vectors: Tensor) -> float:
    return float(torch.linalg.vector_norm(vectors, dim=1).mean())


def _ratio(value: float, of: float) -> float:
    return value / of if of > 0 else 0.0
