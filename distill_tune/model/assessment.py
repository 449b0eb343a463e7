"""How well a model knows some images: overall, class by class, and what it takes for what."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from distill_tune.distill.monitoring.evaluation import features_and_logits, scores
from distill_tune.interfaces import Split
from distill_tune.model.folder import Model


class ClassScore(NamedTuple):
    """How well one class is known.

    Attributes:
        name: Of the class.
        num_images: Of the class.
        precision: Share of the class among what was taken for it; None where nothing was.
        recall: Share of its images that were taken for it; None where there are none.
        f1: Harmonic mean of both; None where it is nothing over nothing.
    """

    name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None


class Assessment(NamedTuple):
    """How well a model knows some images.

    Attributes:
        num_images: How many.
        accuracy: In [0, 1].
        balanced_accuracy: Mean recall of the classes that have images.
        loss: Mean cross-entropy.
        classes: In the order of the model's.
        confusion: ``[i][j]``: images of class i that were taken for class j.
    """

    num_images: int
    accuracy: float
    balanced_accuracy: float
    loss: float
    classes: tuple[ClassScore, ...]
    confusion: list[list[int]]


class Confusion(NamedTuple):
    """Images of one class that were taken for another."""

    name: str
    taken_for: str
    times: int
    share: float


def assess(model: Model, split: Split) -> Assessment:
    """Return how well a model knows a split, whose labels are positions in its classes."""
    device = next(model.classifier.parameters()).device
    _, logits = features_and_logits(model.classifier, split.images.to(device))
    numbers = scores(logits, split.labels.to(device))
    by_class, matrix = _by_class(model.classes, split.labels, logits.argmax(1).cpu())
    return Assessment(
        num_images=len(split.labels),
        accuracy=numbers["accuracy"],
        balanced_accuracy=numbers["balanced_accuracy"],
        loss=numbers["loss"],
        classes=by_class,
        confusion=matrix,
    )


def _by_class(
    classes: Sequence[str], labels: Tensor, taken_for: Tensor
) -> tuple[tuple[ClassScore, ...], list[list[int]]]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    positions = list(range(len(classes)))
    columns = precision_recall_fscore_support(
        labels.numpy(), taken_for.numpy(), labels=positions, zero_division=np.nan
    )
    matrix = confusion_matrix(labels.numpy(), taken_for.numpy(), labels=positions)
    found = (
        ClassScore(name, int(num), *map(_known, (precision, recall, f1)))
        for name, precision, recall, f1, num in zip(classes, *columns, strict=True)
    )
    return tuple(found), matrix.tolist()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def confusions(found: Assessment, most: int) -> list[Confusion]:
    """Return the most frequent confusions, the most frequent first."""
    matrix: NDArray[np.int64] = np.array(found.confusion)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    names = [score.name for score in found.classes]
    pairs = [(int(place) // len(names), int(place) % len(names)) for place in order]
    return [
        Confusion(names[i], names[j], times, times / found.classes[i].num_images)
        for i, j in pairs
        if (times := int(matrix[i, j]))
    ]


def assessment_json(found: Assessment) -> dict[str, Any]:
    """Return an assessment as plain data; the confusion matrix has a row for each true class."""
    return found._asdict() | {"classes": [score._asdict() for score in found.classes]}
