"""Metrics that count right predictions: over all images, or class by class.

Those by class are over the classes that have images: a class without any has no recall.
"""

import numpy as np
from numpy.typing import NDArray

from distill_tune.distill.metrics.metric import Labels, Metric, Probabilities


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Return the share of right predictions, in [0, 1]."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, probabilities.argmax(1)))


def balanced_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean recall, in [0, 1]."""
    return float(_recalls(labels, probabilities).mean())


def worst_recall(labels: Labels, probabilities: Probabilities) -> float:
    """Return the recall of the class that has the lowest, in [0, 1]."""
    return float(_recalls(labels, probabilities).min())


def macro_f1(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean F1 score, in [0, 1]; that of a class which is never predicted is 0."""
    from sklearn.metrics import f1_score

    present = np.unique(labels)
    predicted = probabilities.argmax(1)
    return float(f1_score(labels, predicted, labels=present, average="macro", zero_division=0))


def _recalls(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    from sklearn.metrics import recall_score

    found: NDArray[np.float64] = recall_score(
        labels, probabilities.argmax(1), labels=np.unique(labels), average=None
    )
    return found


ACCURACY = Metric(name="val/accuracy", measure=accuracy)
BALANCED_ACCURACY = Metric(name="val/balanced_accuracy", measure=balanced_accuracy)
WORST_RECALL = Metric(name="val/worst_recall", measure=worst_recall)
MACRO_F1 = Metric(name="val/macro_f1", measure=macro_f1)
