"""First lines of a search: the images as they were read, and what may surprise in the study."""

from collections.abc import Iterator, Mapping, Sequence

from distill_tune.datasets.images.value_range import range_line
from distill_tune.distill.metrics import metric_named
from distill_tune.errors import abridged
from distill_tune.interfaces import ImageData
from distill_tune.records.formatting import class_sizes, cut

_SHOWN = 10
_UNEVEN = 1.5
"""Ratio of the largest class to the smallest from which their sizes are listed."""


def introduction(study: str, data: ImageData, address: str | None) -> str:
    """Return the first line of a search.

    Args:
        study: Its name.
        data: Its images.
        address: Address of a Ray cluster; None: this machine.
    """
    size = f"{data.channels}x{data.image_size}x{data.image_size}"
    others = f", {data.num_unlabelled} images without labels" if data.num_unlabelled else ""
    return (
        f"{study}: {len(data.train.labels)} training and {len(data.val.labels)} validation images "
        f"of {data.num_classes} classes, {_listed(data.classes)} ({data.name}, {size}; "
        f"{data.origin}{others}); starting Ray on {address or 'this machine'}"
    )


def image_lines(data: ImageData, metric: str) -> Iterator[str]:
    """Yield what a user should know of the images: uneven classes, an unusual range of values.

    Args:
        data: The images.
        metric: Metric of the search; the order of the classes is given if it matters.
    """
    counts = data.train_counts()
    if max(counts) >= _UNEVEN * min(counts):
        yield f"training images of each class: {class_sizes(data.classes, counts)}"
    if metric_named(metric).is_ordinal:
        grades = " < ".join(cut(name) for name in data.classes)
        yield f"{metric} takes the classes for grades in this order: {grades}"
    if range_text := range_line(data.value_ranges):
        yield range_text


def rule_lines(limits: Mapping[str, float], bundle: Mapping[str, float]) -> Iterator[str]:
    """Yield which stop rule can never hold.

    Args:
        limits: Rules of the study by name.
        bundle: Resources of a trial, by Ray's names.
    """
    if "gpu_hours" in limits and not bundle.get("GPU"):
        yield (
            "search.stop.gpu_hours never stops this search, whose trials have no GPU; core_hours "
            "counts theirs"
        )


def _listed(classes: Sequence[str]) -> str:
    """Return the first ten names, long ones cut, and how many more there are."""
    return abridged([cut(name) for name in classes], _SHOWN)
