"""First line of a search: the images as they were read, with their classes and their origin."""

from collections.abc import Sequence

from distill_tune.errors import abridged
from distill_tune.interfaces import ImageData

_SHOWN = 10
_LONGEST = 40


def introduction(study: str, data: ImageData, address: str | None) -> str:
    """Return the first line of a search.

    Args:
        study: Its name.
        data: Its images.
        address: Address of a Ray cluster; None: this machine.
    """
    size = f"{data.channels}x{data.image_size}x{data.image_size}"
    return (
        f"{study}: {len(data.train.labels)} training and {len(data.val.labels)} validation images "
        f"of {data.num_classes} classes, {_listed(data.classes)} ({data.name}, {size}; "
        f"{data.origin}); starting Ray on {address or 'this machine'}"
    )


def _listed(classes: Sequence[str]) -> str:
    """Return the first ten names, long ones cut, and how many more there are."""
    cut = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in classes]
    return abridged(cut, _SHOWN)
