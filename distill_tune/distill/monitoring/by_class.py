"""Results of a trial for each class: recall before and after the GAN, and the GAN's images."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.metrics.best_weights import StateDict
from distill_tune.distill.monitoring.evaluation import (
    evaluating,
    features_and_logits,
    image_batches,
    recalls,
)
from distill_tune.interfaces import Split

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
    kept = copy.deepcopy(state.classifier)
    kept.load_state_dict(weights)
    before, after = (_recalls(one, data.val) for one in (state.reference, kept))
    counts = [
        split.labels.bincount(minlength=data.num_classes).tolist()
        for split in (data.train, data.val)
    ]
    rows = [ClassResult(*row) for row in zip(*counts, before, after, strict=True)]
    if not trainer.config.joint.has_gan:
        return rows
    measured = _of_generator(trainer)
    return [
        row._replace(agreement=agreement, diversity=diversity)
        for row, (agreement, diversity) in zip(rows, measured, strict=True)
    ]


def _recalls(classifier: Classifier, split: Split) -> list[float | None]:
    return recalls(features_and_logits(classifier, split.images)[1], split.labels)


@torch.no_grad()
def _of_generator(trainer: GanTrainer) -> list[tuple[float, float | None]]:
    """Return agreement and diversity of each class."""
    data, judge = trainer.data, trainer.state.gan.judge
    each = max(2, min(_MOST_OF_CLASS, _MOST_IMAGES // data.num_classes))
    latent = trainer.latent("monitor", data.num_classes * each, 3)
    labels = torch.arange(data.num_classes, device=data.device).repeat_interleave(each)
    images = trainer.synthesise(latent._replace(labels=labels))
    with evaluating(judge):
        named = torch.cat([judge(batch).argmax(1) for batch in image_batches(images)])
    agreements = (named == labels).view(-1, each).float().mean(1).tolist()
    members = zip(data.by_class.indices, data.by_class.counts.tolist(), strict=True)
    real = [data.train.images[row[: min(count, _MOST_OF_CLASS)]] for row, count in members]
    pairs = zip(images.split(each), real, strict=True)
    return list(zip(agreements, (_ratio(made, own) for made, own in pairs), strict=True))


def _ratio(made: Tensor, real: Tensor) -> float | None:
    spread = _spread(real.float() / 127.5 - 1)
    return _spread(made) / spread if spread > 0 else None


def _spread(images: Tensor) -> float:
    if len(images) < 2:
        return 0.0
    return torch.nn.functional.pdist(images.flatten(1)).mean().item()
