"""Scores of a model on images: overall, by class, and confusions between classes."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from distill_tune.distill.monitoring.evaluation import features_and_logits, is_measurable, scores
from distill_tune.interfaces import Split
from distill_tune.model.description import ClassNumbers
from distill_tune.model.folder import Model
from distill_tune.records.words.metric_names import ACCURACY, without_split


class ClassScore(NamedTuple):
    """The scores of one class.

    Attributes:
        name: Name of the class.
        num_images: Number of images of the class.
        precision: Share of the class among the images predicted as it; None if there are none.
        recall: Share of its images that were predicted as it; None if it has no images.
        f1: Harmonic mean of both; None if it is 0/0.
        recall_stage_one: Recall after stage 1, without synthetic images; None if the images are not
            the model's own validation images, or if it is unknown.
        agreement: Share of the generator's images of the class that are recognised as such; None
            without a generator.
        diversity: Diversity of its images, relative to that of real ones; None without a generator.
    """

    name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None
    recall_stage_one: float | None = None
    agreement: float | None = None
    diversity: float | None = None


class Assessment(NamedTuple):
    """The scores of a model on images.

    Attributes:
        num_images: Number of images.
        accuracy: In [0, 1].
        balanced_accuracy: Mean recall of the classes that have images.
        loss: Mean cross-entropy.
        metric: The metric by which the model was kept, such as ``macro_f1``; higher is better.
        value: The metric; None if these images lack the classes that it needs, or if it is of a
            plugin that is not installed.
        classes: Scores in the order of the model's classes.
        confusion: ``[i][j]``: number of images of class i that were predicted as class j.
    """

    num_images: int
    accuracy: float
    balanced_accuracy: float
    loss: float
    metric: str
    value: float | None
    classes: tuple[ClassScore, ...]
    confusion: list[list[int]]


class Confusion(NamedTuple):
    """Images of one class that were predicted as another."""

    name: str
    taken_for: str
    times: int
    share: float


def assess(model: Model, split: Split, *, is_validation: bool = False) -> Assessment:
    """Return the scores of a model on a split with labels as positions in its classes.

    Args:
        model: The model.
        split: The images.
        is_validation: Whether they are the validation images that the model was chosen by.
    """
    device = next(model.classifier.parameters()).device
    _, logits = features_and_logits(model.classifier, split.images.to(device))
    metric = model.metric if is_measurable(model.metric, split.labels) else ACCURACY
    numbers = scores(logits, split.labels.to(device), metric)
    by_class, matrix = _by_class(model.classes, split.labels, logits.argmax(1).cpu())
    return Assessment(
        num_images=len(split.labels),
        accuracy=numbers["accuracy"],
        balanced_accuracy=numbers["balanced_accuracy"],
        loss=numbers["loss"],
        metric=without_split(model.metric),
        value=numbers.get(without_split(model.metric)),
        classes=tuple(_with_generator(model, one, is_validation) for one in by_class),
        confusion=matrix,
    )


def _with_generator(model: Model, one: ClassScore, is_validation: bool) -> ClassScore:
    known = model.by_class.get(one.name, ClassNumbers())
    before = known.recall_stage_one if is_validation else None
    return one._replace(
        recall_stage_one=before, agreement=known.agreement, diversity=known.diversity
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
    """Return the most frequent confusions in descending order."""
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
