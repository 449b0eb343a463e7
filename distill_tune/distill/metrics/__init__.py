"""Index of the metrics that trials can be compared by: name in ``search.metric`` -> metric."""

from collections.abc import Mapping
from types import MappingProxyType

from distill_tune.distill.metrics.auroc import AUROC
from distill_tune.distill.metrics.kappa import KAPPA
from distill_tune.distill.metrics.metric import Metric
from distill_tune.distill.metrics.negative_loss import NEGATIVE_LOSS
from distill_tune.distill.metrics.shares import (
    ACCURACY,
    BALANCED_ACCURACY,
    MACRO_F1,
    WORST_RECALL,
)
from distill_tune.errors import InputError
from distill_tune.plugins import parts

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            ACCURACY,
            BALANCED_ACCURACY,
            MACRO_F1,
            AUROC,
            WORST_RECALL,
            KAPPA,
            NEGATIVE_LOSS,
        )
    }
)


def known_metrics() -> dict[str, Metric]:
    """Return the metrics of the index, and those of the plugins in use."""
    return {**METRICS, **parts("metrics", Metric, METRICS)}


def metric_named(name: str) -> Metric:
    """Return the metric of a name; every use of a metric looks it up here.

    Raises:
        InputError: There is no such metric.
    """
    metrics = known_metrics()
    if name not in metrics:
        expected = f"one of {', '.join(metrics)}"
        raise InputError("metric", got=name, expected=expected, choices=metrics)
    return metrics[name]


def known_metric(name: str) -> str:
    """Return the name of a metric; the validator of a configuration's field.

    Raises:
        ValueError: There is no such metric.
    """
    try:
        return metric_named(name).name
    except InputError as error:
        raise ValueError(error) from None
