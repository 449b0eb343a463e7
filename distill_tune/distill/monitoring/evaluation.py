"""Evaluation of a classifier: features, logits, metrics, batch-norm statistics."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.compute.large_images import forward_batch
from distill_tune.distill.metrics import known_metrics, metric_named
from distill_tune.errors import DivergedError, InputError, Text, one_line
from distill_tune.interfaces import Metrics, Split
from distill_tune.records.words.metric_names import ACCURACY, on_validation, without_split

EVALUATION_BATCH = 250
"""Most images in a forward pass outside training; fewer large ones."""


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put models into eval mode and restore their modes afterwards, even after an error."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


def ensure_training(*models: nn.Module) -> None:
    """Put models into training mode; those already in it are not traversed again."""
    for model in models:
        if not model.training:
            model.train()


def batch_size(images: Tensor, network: nn.Module | None = None) -> int:
    """Return how many images to pass through a network at a time: 250, or fewer large ones.

    Args:
        images: ``[n, channels, size, size]``.
        network: A classifier may scale images up.
    """
    channels, side = images.shape[1], images.shape[-1]
    if isinstance(network, Classifier):
        side = max(side, network.input_size)
    return forward_batch((channels, side, side), EVALUATION_BATCH)


def image_batches(images: Tensor, network: nn.Module | None = None) -> Iterator[Tensor]:
    """Yield uint8 or float images as float32 in [-1, 1], in batches of :func:`batch_size`."""
    for batch in images.split(batch_size(images, network)):
        yield to_float(batch) if batch.dtype == torch.uint8 else batch


def features_and_logits(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(features [n, d], logits [n, classes])`` in eval mode, float32.

    Args:
        classifier: Its mode is restored.
        images: ``[n, channels, size, size]``, uint8, or float32 in [-1, 1].
    """
    return of_batches(classifier, image_batches(images, classifier))


@torch.no_grad()
def of_batches(classifier: Classifier, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return features and logits of batches of float32 images in [-1, 1]."""
    with evaluating(classifier):
        features = torch.cat([classifier.features(batch) for batch in batches])
        logits: Tensor = classifier.head(features)
    return features.float(), logits.float()


def validate(classifier: Classifier, data: DeviceData, metric: str = ACCURACY) -> Metrics:
    """Return metrics of the validation split after re-estimating batch norm in place.

    They are those of :func:`scores`, named ``val/accuracy`` and so on.

    An epoch of a small data set has few steps, so running averages lag far behind the weights: a
    ResNet-18 trained on 200 digits had a validation accuracy of 0.46 with them, 0.73 without.
    """
    reestimate_batch_norm(classifier, data.train.images)
    found = evaluate(classifier, data.val, metric)
    return {on_validation(name): value for name, value in found.items()}


class Assessed(NamedTuple):
    """Result of a classifier's pass over a split.

    Attributes:
        metrics: As :func:`scores` returns them.
        recalls: Of every class; None without images.
    """

    metrics: Metrics
    recalls: list[float | None]


def assess(classifier: Classifier, split: Split, metric: str = ACCURACY) -> Assessed:
    """Return the classifier's metrics on a split, and the recall of every class."""
    _, logits = features_and_logits(classifier, split.images)
    return Assessed(scores(logits, split.labels, metric), recalls(logits, split.labels))


def evaluate(classifier: Classifier, split: Split, metric: str = ACCURACY) -> Metrics:
    """Return the classifier's metrics on a split; see :func:`scores`."""
    _, logits = features_and_logits(classifier, split.images)
    return scores(logits, split.labels, metric)


def scores(logits: Tensor, labels: Tensor, metric: str = ACCURACY) -> Metrics:
    """Return metrics of logits ``[n, classes]`` for labels ``[n]``, n > 0.

    Args:
        logits: Of the classifier.
        labels: Positions of the true classes.
        metric: The metric that models are compared by, as in ``search.metric``.

    Returns:
        ``accuracy`` and ``balanced_accuracy`` (the mean over the classes that have images) in
        [0, 1]; ``loss``, the mean cross-entropy; and ``metric``, without the name of its split.

    Raises:
        DivergedError: ``metric`` is another one, and a logit is not finite.
        InputError: ``metric`` is one of a plugin, and fails or is no finite number.
    """
    known = [recall for recall in recalls(logits, labels) if recall is not None]
    found = {
        "accuracy": int((logits.argmax(1) == labels).sum()) / len(labels),
        "balanced_accuracy": sum(known) / len(known),
        "loss": F.cross_entropy(logits, labels).item(),
    }
    name = without_split(metric)
    return found if name in found else found | {name: _measured(logits, labels, metric)}


def recalls(logits: Tensor, labels: Tensor) -> list[float | None]:
    """Return the recall of every class from logits ``[n, classes]``; None without images."""
    num_classes = logits.shape[1]
    of_class = labels.bincount(minlength=num_classes).tolist()
    right = labels[logits.argmax(1) == labels].bincount(minlength=num_classes).tolist()
    return [r / n if n else None for r, n in zip(right, of_class, strict=True)]


def _measured(logits: Tensor, labels: Tensor, metric: str) -> float:
    if not logits.isfinite().all():
        raise DivergedError("diverged", "an output of the classifier is not finite")
    probabilities = logits.cpu().double().softmax(1).numpy()
    expected = "a finite number, higher for a better classifier"
    try:
        # One of a plugin may raise anything, and return anything.
        value = float(metric_named(metric).measure(labels.cpu().numpy(), probabilities))
    except Exception as error:
        got = Text(f"{type(error).__name__} of {metric} ({one_line(str(error))})")
        raise InputError("metric", got=got, expected=expected) from error
    if not math.isfinite(value):
        raise InputError("metric", got=Text(f"{value} of {metric}"), expected=expected)
    return value


def is_measurable(metric: str, labels: Tensor) -> bool:
    """Return whether a metric is known and the labels ``[n]`` have the classes that it needs."""
    metrics = known_metrics()
    needed = metrics[metric].min_classes if metric in metrics else math.inf
    return len(labels.unique()) >= needed


@torch.no_grad()
def reestimate_batch_norm(classifier: nn.Module, images: Tensor) -> None:
    """Set running statistics to their plain average over batches of real images, in place.

    Args:
        classifier: Its mode is restored; without batch norm nothing is done. Frozen batch norms are
            left as they are.
        images: ``[n, channels, size, size]``, uint8, at least two.
    """
    if isinstance(classifier, Classifier):
        norms = [*classifier.batch_norms]
    else:
        norms = [module for module in classifier.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    with evaluating(classifier):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        try:
            for batch in _equal_batches(images, batch_size(images, classifier)):
                classifier(to_float(batch))
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def _equal_batches(images: Tensor, most: int) -> Iterator[Tensor]:
    """Yield images in batches of about the same size, each from all over the split.

    Images often lie class by class. A batch of few classes lacks the variance between classes, and
    so would the average of such batches.
    """
    count = -(-len(images) // most)
    return (images[start::count] for start in range(count))


@contextmanager
def running_statistics_kept(classifier: Classifier) -> Iterator[None]:
    """Make forward passes in training mode use batch statistics without recording them."""
    for norm in classifier.batch_norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in classifier.batch_norms:
            norm.track_running_stats = True
