"""Numbers of training, validation and test images that the classes of a data set allow."""

from typing import NamedTuple

from distill_tune.datasets.splits import Share
from distill_tune.datasets.train_part.train_counts import MIN_TRAIN
from distill_tune.tuning.draft.images import ImageFacts

_SHARE = Share(0.2)
"""The defaults of ``data.val_fraction`` and ``data.test_fraction``."""
_USEFUL = 10
"""Least number of images of a class for which an equal number of each is drawn."""
_UNCUT = 1.5
"""Up to this many times the wanted training images, all of them are used."""


class Splits(NamedTuple):
    """Sizes of the splits.

    Attributes:
        train_per_class: Training images of each class; None: all that are left.
        val_per_class: Validation images of each class; None: a share, or a whole part.
        has_test: Whether there are images to test on.
        train: Training images of each class in order.
    """

    train_per_class: int | None
    val_per_class: int | None
    has_test: bool
    train: tuple[int, ...]


def splits_of(facts: ImageFacts, most_train: int, most_val: int) -> Splits:
    """Return sizes that the smallest class allows.

    Args:
        facts: The images.
        most_train: Training images of each class that the time allows.
        most_val: Validation images of all classes that are worth their time.
    """
    is_val_drawn = facts.val_counts is None
    is_test_drawn = not facts.has_test and min(facts.counts) > MIN_TRAIN + is_val_drawn
    per_class = _val_per_class(facts, most_val)
    val = Share(_SHARE.fraction, per_class) if is_val_drawn else Share()
    test = _SHARE if is_test_drawn else Share()
    left = [max(0, count - val.of(count) - test.of(count)) for count in facts.counts]
    wanted = _train_per_class(left, most_train)
    train = tuple(min(count, wanted or count) for count in left)
    return Splits(wanted, per_class, facts.has_test or is_test_drawn, train)


def _val_per_class(facts: ImageFacts, most: int) -> int | None:
    """Return an equal number of validation images; None if it would be too small."""
    wanted = max(_USEFUL, most // len(facts.classes))
    if facts.val_counts is not None:
        least = min(facts.val_counts)
        return min(wanted, least) if least >= _USEFUL and sum(facts.val_counts) > most else None
    found = min(wanted, min(facts.counts) // 4)
    return found if found >= _USEFUL else None


def _train_per_class(left: list[int], most: int) -> int | None:
    """Return an equal number of training images; None if all are few, or one class is tiny."""
    if sum(left) <= _UNCUT * most * len(left):
        return None
    return min(most, *left) if min(left) >= min(most, _USEFUL) else None
