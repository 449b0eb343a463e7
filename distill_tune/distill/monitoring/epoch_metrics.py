"""Metrics of the generator's health for fixed ``(z, y)``, in F_ref's feature space, every epoch.

F_ref is the classifier at the end of stage 1: the classifier itself changes, and trends need a
fixed baseline.
"""

import torch
from torch import Tensor

from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.large_images import pixels_of
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import generator_hinge
from distill_tune.distill.monitoring.diversity import (
    FeatureSet,
    kernel_distance,
    mean_norm,
    vendi_score,
    within_class_distance,
)
from distill_tune.distill.monitoring.evaluation import (
    batch_size,
    evaluating,
    features_and_logits,
    image_batches,
)
from distill_tune.distill.monitoring.reference import Reference, evenly, nearest_distance
from distill_tune.interfaces import COLLAPSE_RATIO, Metrics, Split

WARNING_RATIO = 0.5
_BORDER = 0.1
_GRADIENT_IMAGES = 32


def measure(
    trainer: GanTrainer,
    reference: Reference,
    images: Tensor,
    sets: HardSets,
    *,
    is_full: bool = True,
) -> Metrics:
    """Return health metrics of images generated for ``reference.latent.labels``.

    Args:
        trainer: Provides F_ref.
        reference: The fixed baseline.
        images: ``[n, channels, size, size]`` in [-1, 1].
        sets: Current hard and easy training images.
        is_full: Whether to measure what nothing is decided by, too: the last four.

    Returns:
        ``diversity`` and ``rank_ratio`` (synthetic over real hard images; below 0.5 a warning,
        below 0.25 collapse), ``pixel_diversity``, ``border_share``, ``label_agreement``,
        ``feature_norm_ratio``; ``vendi``, ``kid_hard``, ``kid_all``, ``nearest_ratio`` (distance to
        the nearest training image over ``real_distance``; near 0 = copies).
    """
    features, logits = features_and_logits(trainer.state.reference, images)
    labels = reference.latent.labels
    synthetic, hard = FeatureSet(features, labels), reference.hard(sets)
    top = logits.softmax(1).topk(2, dim=1).values
    pixels = pixels_of(images)
    health = {
        "diversity": _ratio(synthetic.spread, hard.spread),
        "rank_ratio": _ratio(synthetic.rank, reference.hard_rank(sets)),
        "pixel_diversity": _ratio(within_class_distance(pixels, labels), reference.real_spread),
        "border_share": ((top[:, 0] - top[:, 1]) < _BORDER).float().mean().item(),
        "label_agreement": (logits.argmax(1) == labels).float().mean().item(),
        "feature_norm_ratio": _ratio(synthetic.norm, hard.norm),
    }
    if not is_full:
        return health
    nearest = nearest_distance(pixels, reference.train_images)
    return health | {
        "vendi": vendi_score(features),
        "kid_hard": kernel_distance(synthetic, hard),
        "kid_all": kernel_distance(synthetic, reference.everyone),
        "nearest_ratio": _ratio(nearest, reference.real_distance),
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
    norms = {"gradient_adversarial": mean_norm(adversarial.flatten(1)) * len(fake)}
    if joint.triplet_weight > 0:
        hinge = trainer.triplet_hinge(fake, latent.labels, -1).mean()
        (triplet,) = torch.autograd.grad(hinge, fake)
        norms["gradient_triplet"] = joint.triplet_weight * mean_norm(triplet.flatten(1)) * len(fake)
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
            labels = split.labels.split(batch_size(split.images))
            batches = zip(image_batches(split.images), labels, strict=True)
            logits = [discriminator(*batch, trainer.class_signal()) for batch in batches]
            means.append(torch.cat(logits).mean())
    return float(means[0] - means[1])


def _equal_parts(data: DeviceData) -> tuple[Split, Split]:
    count = min(len(data.train.labels), len(data.val.labels), 1000)
    return evenly(data.train, count), evenly(data.val, count)


def _ratio(value: float, of: float) -> float:
    return value / of if of > 0 else 0.0
