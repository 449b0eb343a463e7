"""Results of a trial for each class: recall before and after the GAN, and the GAN's images."""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.compute.large_images import in_memory
from distill_tune.distill.gan_draws import Latent
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.monitoring.diversity import pair_distances
from distill_tune.distill.monitoring.evaluation import (
    evaluating,
    features_and_logits,
    image_batches,
    recalls,
)

_MOST_IMAGES, _MOST_OF_CLASS = 2000, 50


class ClassResult(NamedTuple):
    """The results of one class.

    Attributes:
        num_train: Training images.
        num_val: Validation images.
        recall_stage_one: Recall of the classifier at the end of stage 1, on validation images; None
            without any.
        recall: That of the kept weights.
        agreement: Share of synthetic images of the class that the judge recognises as such; None
            without a GAN.
        diversity: Mean distance of two synthetic images over that of two training images, in
            pixels; None without a GAN, or with less than two training images.
    """

    num_train: int
    num_val: int
    recall_stage_one: float | None
    recall: float | None
    agreement: float | None = None
    diversity: float | None = None


def class_results(trainer: GanTrainer, weights: StateDict) -> list[ClassResult]:
    """Return the results of every class, in their order.

    Args:
        trainer: Of a trial in stage 3, or done; not changed.
        weights: The classifier's weights to measure.
    """
    data, state = trainer.data, trainer.state
    before = state.assess_stage_one(data, trainer.config.metric).recalls
    kept = state.classifier
    if not all(torch.equal(weights[name], value) for name, value in kept.state_dict().items()):
        kept = copy.deepcopy(kept)
        kept.load_state_dict(weights)
    after = recalls(features_and_logits(kept, data.val.images)[1], data.val.labels)
    counts = [
        split.labels.bincount(minlength=data.num_classes).tolist()
        for split in (data.train, data.val)
    ]
    rows = [ClassResult(*row) for row in zip(*counts, before, after, strict=True)]
    if not trainer.config.joint.has_gan:
        return rows
    measured = synthetic_results(trainer)
    return [
        row._replace(agreement=agreement, diversity=diversity)
        for row, (agreement, diversity) in zip(rows, measured, strict=True)
    ]


@torch.no_grad()
def synthetic_results(trainer: GanTrainer) -> list[tuple[float, float | None]]:
    """Return agreement and diversity of each class, as in :class:`ClassResult`."""
    data = trainer.data
    each = max(2, min(_MOST_OF_CLASS, _MOST_IMAGES // data.num_classes))
    latent = trainer.latent("monitor", data.num_classes * each, 3)
    labels = torch.arange(data.num_classes, device=data.device).repeat_interleave(each)
    # Of large images, those of a few classes at a time.
    together = each * max(1, in_memory(data.train.images) // each)
    parts = zip(latent.z.split(together), labels.split(together), strict=True)
    return [row for part in parts for row in _measured(trainer, Latent(*part), each)]


def _measured(
    trainer: GanTrainer, latent: Latent, each: int
) -> Iterator[tuple[float, float | None]]:
    """Yield agreement and diversity of classes with as many images each, class by class."""
    data, judge = trainer.data, trainer.state.gan.judge
    images = trainer.synthesise(latent)
    with evaluating(judge):
        named = torch.cat([judge(batch).argmax(1) for batch in image_batches(images)])
    agreements = (named == latent.labels).view(-1, each).float().mean(1).tolist()
    for agreement, made, label in zip(
        agreements, images.split(each), latent.labels[::each].tolist(), strict=True
    ):
        count = min(int(data.by_class.counts[label]), _MOST_OF_CLASS)
        real = data.train.images[data.by_class.indices[label][:count]]
        spread = _spread(real)
        yield agreement, _spread(made) / spread if spread > 0 else None


def _spread(images: Tensor) -> float:
    return pair_distances(images).mean().item() if len(images) > 1 else 0.0
