"""A metric: a number that says how good predictions are; higher is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""``[n]``, positions of the true classes."""
Probabilities = NDArray[np.float64]
"""``[n, classes]``, rows that sum to 1."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric that trials can be compared by.

    Attributes:
        name: Name in ``search.metric``: ``val/`` and a word; with a minus sign, ``-val/``, if the
            metric is the negative of one for which lower is better.
        measure: Returns the metric of predictions, given the labels and the probabilities. It is
            finite whatever classes the labels have, n > 0; higher is better.
        min_classes: Classes that must occur in the labels for the metric to say anything.
        is_ordinal: Whether the order of the classes matters, as it does for grades.
    """

    name: str
    measure: Callable[[Labels, Probabilities], float]
    min_classes: int = 1
    is_ordinal: bool = False
