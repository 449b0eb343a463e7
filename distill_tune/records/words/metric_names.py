"""Names of the metrics that trials are compared by, in records and in words.

A metric is named as in ``search.metric``: ``val/macro_f1``, or ``-val/loss`` where a lower value is
better and its negative is maximised. Without its split it is ``macro_f1`` or ``-loss``. Nothing
here needs the code that computes a metric, which may belong to a plugin.
"""

from collections.abc import Mapping
from types import MappingProxyType

ACCURACY = "val/accuracy"
"""The default metric, and that of studies and models of earlier versions."""

_TITLES = MappingProxyType(
    {"macro_f1": "macro F1", "auroc": "AUROC", "-loss": "negative loss", "kappa": "weighted kappa"}
)
_SHARES = frozenset({"accuracy", "balanced_accuracy", "macro_f1", "auroc", "worst_recall"})


def without_split(metric: str) -> str:
    """Return ``macro_f1`` for ``val/macro_f1``, and ``-loss`` for ``-val/loss``."""
    return metric.replace("val/", "", 1)


def on_validation(name: str) -> str:
    """Return ``val/macro_f1`` for ``macro_f1``, and ``-val/loss`` for ``-loss``."""
    return f"-val/{name[1:]}" if name.startswith("-") else f"val/{name}"


def best_so_far(metric: str) -> str:
    """Return the name of a metric's best value so far, such as ``val/best_macro_f1``."""
    return metric.replace("val/", "val/best_", 1)


def final(metric: str) -> str:
    """Return the name of a metric's value after a trial's end, such as ``val/final_macro_f1``."""
    return metric.replace("val/", "val/final_", 1)


def title(metric: str) -> str:
    """Return a metric in words, such as ``macro F1``, with or without its split."""
    name = without_split(metric)
    return _TITLES.get(name, name.replace("_", " "))


def recorded_metric(study: object) -> str:
    """Return the metric of a study as its log records it; empty if it does not."""
    search = study.get("search") if isinstance(study, Mapping) else None
    found = search.get("metric") if isinstance(search, Mapping) else None
    return found if isinstance(found, str) else ""


def column_title(metric: str) -> str:
    """Return the head of a column of values; ``value`` if their metric is not known."""
    return title(metric) or "value"


def validation_title(metric: str) -> str:
    """Return a metric of the validation split in words, such as ``validation macro F1``."""
    return f"validation {title(metric)}" if metric.startswith(("val/", "-val/")) else title(metric)


def is_share(metric: str) -> bool:
    """Return whether a metric is a share in [0, 1], which may be shown in %."""
    return without_split(metric) in _SHARES


def title_with_unit(metric: str) -> str:
    """Return a metric in words with the unit of its values, such as ``macro F1 in %``."""
    return f"{title(metric)} in %" if is_share(metric) else title(metric)


def value_text(value: float, metric: str, *, has_sign: bool = False) -> str:
    """Return a value, a spread or a gain: a share in %, ``93.22``; any other metric ``-0.2100``."""
    scaled, digits = (100 * value, 2) if is_share(metric) else (value, 4)
    return f"{scaled:{'+' if has_sign else ''}.{digits}f}"


def gain_text(value: float, metric: str) -> str:
    """Return a gain: in points, ``+1.20 points``, or of a metric that is no share ``+0.0900``."""
    shown = value_text(value, metric, has_sign=True)
    return f"{shown} points" if is_share(metric) else shown
