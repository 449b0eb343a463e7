"""A metric of one's own: the geometric mean of the recalls."""

import numpy as np

from distill_tune.distill.metrics.metric import Labels, Metric, Probabilities


def gmean(labels: Labels, probabilities: Probabilities) -> float:
    """Return a number in [0, 1], 0 if a class is never recognised; higher is better."""
    is_right = probabilities.argmax(1) == labels
    recalls = [is_right[labels == label].mean() for label in np.unique(labels)]
    return float(np.prod(recalls) ** (1 / len(recalls)))


METRICS = {"val/gmean": Metric(name="val/gmean", measure=gmean)}
