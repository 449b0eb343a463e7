"""The fixed baseline of a trial's monitors: real images, and what is measured of them once."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from distill_tune.distill.compute.large_images import parts_of, pixels_of
from distill_tune.distill.gan_draws import Latent
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.monitoring.diversity import FeatureSet, within_class_distance
from distill_tune.distill.monitoring.evaluation import features_and_logits
from distill_tune.interfaces import Split

_MOST_REAL = 1000


@dataclass
class Reference:
    """The fixed baseline of a trial's monitors: latent vectors, features and pixels of real images.

    Attributes:
        latent: The fixed ``(z, y)``.
        train: ``[n, d]`` features of the training images in F_ref.
        labels: ``[n]`` int64.
        train_images: The training images, uint8.
        real_distance: Median pixel distance of a validation image to its nearest training image,
            which is typical of distinct images of this data.
        real_spread: Mean pixel distance between two training images of a class.
    """

    latent: Latent
    train: Tensor
    labels: Tensor
    train_images: Tensor
    real_distance: float
    real_spread: float
    _newest: tuple[HardSets, FeatureSet, float] | None = field(default=None, init=False, repr=False)

    @classmethod
    def measure(cls, trainer: GanTrainer) -> "Reference":
        """Return the baseline for a trial whose F_ref is trained."""
        data = trainer.data
        features, _ = features_and_logits(trainer.state.reference, data.train.images)
        images, labels = data.train
        count = min(len(data.val.labels), trainer.config.joint.monitor_images)
        some_validation = pixels_of(evenly(data.val, count).images)
        latent = trainer.latent("monitor", trainer.config.joint.monitor_images)
        spread = within_class_distance(_some(images), _some(labels))
        distance = nearest_distance(some_validation, images)
        return cls(latent, features, labels, images, distance, spread)

    @cached_property
    def everyone(self) -> FeatureSet:
        """At most 1,000 training images."""
        return FeatureSet(_some(self.train), _some(self.labels))

    def hard(self, sets: HardSets) -> FeatureSet:
        """Return at most 1,000 hard images; measured again only for new sets.

        If no class has two hard images, they are from all training images.
        """
        return self._of_hard(sets)[1]

    def hard_rank(self, sets: HardSets) -> float:
        """Return the effective rank of hard images, no more than there are synthetic ones.

        It grows with their number.
        """
        return self._of_hard(sets)[2]

    def _of_hard(self, sets: HardSets) -> tuple[HardSets, FeatureSet, float]:
        if self._newest is None or self._newest[0] is not sets:
            rows = _some(_reference_mask(sets.hard, self.labels).nonzero().squeeze(1))
            found = FeatureSet(self.train[rows], self.labels[rows])
            few = (_some(one, len(self.latent.labels)) for one in (found.features, found.labels))
            self._newest = sets, found, FeatureSet(*few).rank
        return self._newest


def _reference_mask(hard: Tensor, labels: Tensor) -> Tensor:
    """Return the mask of hard images, or of all images if no class has two hard ones."""
    counts = torch.bincount(labels[hard], minlength=1)
    return hard if int(counts.max()) > 1 else torch.ones_like(hard)


def _some(rows: Tensor, most: int = _MOST_REAL) -> Tensor:
    """Return at most so many evenly spaced rows, by default to bound the cost for large data."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most, device=rows.device).long()]


def evenly(split: Split, count: int) -> Split:
    """Return ``count`` evenly spaced images of a split, which may be sorted by class."""
    chosen = torch.arange(count, device=split.labels.device) * len(split.labels) // count
    return Split(split.images[chosen], split.labels[chosen])


def nearest_distance(images: Tensor, others: Tensor) -> float:
    """Return the median distance of ``images [n, pixels]`` to the nearest of ``others``.

    Args:
        images: In [-1, 1].
        others: Images, uint8.
    """
    parts = (torch.cdist(images, pixels_of(part)).min(dim=1).values for part in parts_of(others))
    return float(torch.stack([*parts]).min(dim=0).values.median())
