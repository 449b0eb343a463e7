"""Images without labels: what the discriminator, and FixMatch's rule, learn from them."""

import torch
from torch import Tensor

from distill_tune.distill.augmentation import classifier_augmentation, cut_out, to_float
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.compute.batches import Batch, ExtraBatch, Key, augmented_batch
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.random_streams import integers, stream, uniform
from distill_tune.distill.hardness import HardSets
from distill_tune.distill.losses import discriminator_hinge
from distill_tune.distill.monitoring.evaluation import (
    evaluating,
    features_and_logits,
    running_statistics_kept,
)
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.distill.trial_state import TrialState

NO_CLASS = -1
"""Label of an image whose class is not known."""
_BLANK = 0.25
"""Side of the square that the strong change blanks, as a share of the image side."""


def confident_names(classifier: Classifier, images: Tensor, threshold: float) -> Tensor:
    """Return the predicted class of each image, ``NO_CLASS`` where the classifier is not sure.

    Args:
        classifier: Not changed.
        images: ``[n, channels, size, size]`` uint8.
        threshold: The probability must be above it.
    """
    _, logits = features_and_logits(classifier, images)
    sure, names = logits.softmax(1).max(1)
    return names.masked_fill(sure <= threshold, NO_CLASS)


class SnapshotNames:
    """Names that a trial's snapshot is sure of, renewed whenever hard images are labelled anew.

    They depend on the snapshot alone, so that a trial which resumes has the same ones.

    Args:
        state: Holds the snapshot and the hard images.
        data: Has images without labels.
        threshold: The probability must be above it.
    """

    def __init__(self, state: TrialState, data: DeviceData, threshold: float) -> None:
        self._state, self._data, self._threshold = state, data, threshold
        self._sets: HardSets | None = None
        self._names: Tensor | None = None

    def newest(self) -> Tensor:
        """Return ``[num_unlabelled]`` names; all ``NO_CLASS`` before the first labelling."""
        sets, images = self._state.sets, self._data.unlabelled
        assert images is not None  # noqa: S101
        if self._names is None or self._sets is not sets:
            self._sets = sets
            self._names = torch.full((len(images),), NO_CLASS, device=images.device)
            if sets is not None and self._threshold < 1:
                self._names = confident_names(self._state.snapshot, images, self._threshold)
        return self._names


def unlabelled_batch(data: DeviceData, names: Tensor, count: int, key: Key) -> Batch:
    """Return some images in [-1, 1], mirrored at random where the data allow it, and their names.

    Args:
        data: Has images without labels.
        names: ``[num_unlabelled]``, from :func:`confident_names`.
        count: Number of images.
        key: Of the random numbers.
    """
    assert data.unlabelled is not None  # noqa: S101
    generator = stream(*key, device=data.device)
    chosen = integers(len(data.unlabelled), (count,), generator)
    images = to_float(data.unlabelled[chosen])
    if data.flip:
        is_mirrored = uniform((count, 1, 1, 1), generator) < 0.5
        images = torch.where(is_mirrored, images.flip(3), images)
    return images, names[chosen]


def beside(asked: Tensor, names: Tensor | None = None) -> Tensor:
    """Return the labels that a discriminator is asked about where it judges without a class too.

    Args:
        asked: ``[n]`` or ``[n, m]``.
        names: ``[k]``, of unlabelled images that come after the others, if there are any.

    Returns:
        ``[n + k, m + 1]``; the last column asks about every image without its class.
    """
    asked = asked.view(len(asked), -1)
    if names is not None:
        asked = torch.cat([asked, names[:, None].expand(-1, asked.shape[1])])
    return torch.cat([asked, torch.full_like(asked[:, :1], NO_CLASS)], dim=1)


def mixed_hinge(labelled: Tensor, logits: Tensor, num_real: int, weight: float) -> Tensor:
    """Return the discriminator's loss on images with and without labels.

    Args:
        labelled: Loss on the labelled and as many synthetic images.
        logits: Of labels from :func:`beside`, for real, synthetic and unlabelled images in this
            order.
        num_real: Number of labelled images.
        weight: Weight of the images without labels relative to the others.
    """
    unlabelled, fake = logits[2 * num_real :, 0], logits[num_real : 2 * num_real, -1]
    return averaged(labelled, discriminator_hinge(unlabelled, fake), weight)


def averaged(labelled: Tensor, unlabelled: Tensor, weight: float) -> Tensor:
    """Return the mean of two losses; the second counts ``weight`` times."""
    return (labelled + weight * unlabelled) / (1 + weight)


@torch.no_grad()
def pseudo_labelled(
    classifier: Classifier, data: DeviceData, config: TrialConfig, count: int, step: int
) -> ExtraBatch:
    """Return strongly changed images with the names that the classifier gives weak changes of them.

    FixMatch (Sohn et al., NeurIPS 2020, arXiv:2001.07685): only names with a probability above
    ``joint.name_threshold`` count. The other images keep their place in the batch with labels of
    zeros, so that they weigh nothing and the host does not wait for their number.

    Args:
        classifier: Not changed; its batch norm uses the statistics of this batch.
        data: Has images without labels.
        config: Threshold and augmentations.
        count: Number of images.
        step: Step within the stage; seeds every draw.
    """
    assert data.unlabelled is not None  # noqa: S101
    draw = stream(config.seed, "unlabelled", step, "pseudo", device=data.device)
    images = data.unlabelled[integers(len(data.unlabelled), (count,), draw)]
    training = config.classifier
    weak = classifier_augmentation(
        to_float(images), max_shift=training.shift, flip=data.flip, generator=draw
    )
    with evaluating(classifier), running_statistics_kept(classifier):
        for norm in classifier.batch_norms:
            norm.train()
        probabilities = classifier(weak).softmax(1)
    sure, names = probabilities.max(1)
    is_sure = (sure > config.joint.name_threshold).float()
    changes = {"augmentation": config.joint.strong_augmentation, "cutmix": 0.0}
    key: Key = (config.seed, "unlabelled", step)
    strong, _ = augmented_batch(images, names, data, training.model_copy(update=changes), key)
    # As one_hot, whose check of the names makes the host wait.
    labels = torch.zeros(count, data.num_classes, device=data.device)
    labels.scatter_(1, names[:, None], is_sure[:, None])
    return ExtraBatch(cut_out(strong, _BLANK, draw), labels, 1.0, is_sure.mean())
