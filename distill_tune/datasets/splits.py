"""The seeded, stratified draw of test, validation and training images."""

from typing import NamedTuple

import numpy as np

from distill_tune.datasets.image_pool import Indices, Labels, Pool
from distill_tune.errors import InputError, Text

MIN_TRAIN = 2
"""Least training images of a class, because training compares pairs of one class."""


_MOST_COUNTED = 1_000_000
"""Images per class beyond which the required number is not computed exactly."""


class Share(NamedTuple):
    """The number of images of each class that a split gets; the default is none.

    Attributes:
        fraction: Share of the images of the class; at least one image when above 0.
        per_class: The number of images; takes precedence over ``fraction``.
    """

    fraction: float = 0.0
    per_class: int | None = None

    def of(self, count: int) -> int:
        """Return the number of images out of ``count``."""
        if self.per_class is not None:
            return self.per_class
        return max(1, int(count * self.fraction + 0.5)) if self.fraction > 0 else 0


class SplitSizes(NamedTuple):
    """The splits to draw from a pool: shares, and the limit of training images per class."""

    test: Share
    val: Share
    train_per_class: int | None


class Draw(NamedTuple):
    """Positions in the pool, ascending and disjoint."""

    train: Indices
    val: Indices
    test: Indices


def draw(pool: Pool, sizes: SplitSizes, *, seed: int, subset_seed: int, where: str) -> Draw:
    """Draw test, then validation, then training images of every class.

    Each class has its own order, fixed by a seed and the label. Test and validation images are
    taken from the front, training images from the back. A larger split therefore contains a smaller
    one, and with equal seeds the size of one split does not change the others.

    Args:
        pool: Images to draw from.
        sizes: Sizes of the splits.
        seed: Seed of the test draw, which depends on no other seed.
        subset_seed: Seed of the draw of validation and training images from the rest.
        where: Field to blame where no count is at fault.

    Raises:
        InputError: A class has too few images.
    """
    _refuse_shortage(pool, sizes, where)
    train, val, test = [], [], []
    for label, count in enumerate(pool.counts()):
        num_test, num_val = sizes.test.of(count), sizes.val.of(count)
        sealed = class_order(pool.labels, label, seed)[:num_test]
        order = class_order(pool.labels, label, subset_seed)
        rest = order[~np.isin(order, sealed)]
        test.append(sealed)
        val.append(rest[:num_val])
        train.append(rest[num_val:][::-1][: sizes.train_per_class])
    return Draw(*(np.sort(np.concatenate(parts)) for parts in (train, val, test)))


def first_of_each(pool: Pool, per_class: int | None, *, seed: int, where: str) -> Indices:
    """Return the positions of ``per_class`` images of every class (all for None), ascending.

    Raises:
        InputError: A class has fewer images, or none.
    """
    needed = per_class or 1
    short = [(name, n) for name, n in zip(pool.classes, pool.counts(), strict=True) if n < needed]
    if short:
        expected = f"{needed} or more validation images in every class"
        blamed = "data.val_per_class" if per_class else where
        raise InputError(blamed, got=_listed(short, pool), expected=expected)
    orders = [class_order(pool.labels, label, seed) for label in range(len(pool.classes))]
    return np.sort(np.concatenate([order[:per_class] for order in orders]))


def class_order(labels: Labels, label: int, seed: int) -> Indices:
    """Return the positions of one class in the order in which images are drawn."""
    members = np.flatnonzero(labels == label).astype(np.int64)
    return np.random.default_rng([seed, label]).permutation(members)


def _refuse_shortage(pool: Pool, sizes: SplitSizes, where: str) -> None:
    num_train = max(MIN_TRAIN, sizes.train_per_class or 0)
    short = [
        (name, count)
        for name, count in zip(pool.classes, pool.counts(), strict=True)
        if count < num_train + sizes.val.of(count) + sizes.test.of(count)
    ]
    if not short:
        return
    count = min(number for _, number in short)
    num_test, left = sizes.test.of(count), count - sizes.val.of(count) - sizes.test.of(count)
    advice = ""
    if left >= MIN_TRAIN:
        where, advice = "data.train_per_class", f"; these images allow train_per_class {left}"
    elif sizes.val.per_class is not None and count >= MIN_TRAIN + 1 + num_test:
        where = "data.val_per_class"
    expected = f"at least {_needed(sizes, num_train)}{advice}"
    raise InputError(where, got=_listed(short, pool), expected=expected)


def _needed(sizes: SplitSizes, num_train: int) -> str:
    """Return the least sufficient number of images per class, and what each is for."""
    needed = num_train
    while needed < _MOST_COUNTED:
        shortage = num_train + sizes.val.of(needed) + sizes.test.of(needed) - needed
        if shortage <= 0:
            break
        # Fewer would not suffice, because the shares only grow with the number.
        needed += shortage
    shares = [
        (num_train, "for training"),
        (sizes.val.of(needed), "for validation"),
        (sizes.test.of(needed), "for testing"),
    ]
    listed = " + ".join(f"{number} {purpose}" for number, purpose in shares if number)
    return f"{needed} in every class: {listed}"


def _listed(short: list[tuple[str, int]], pool: Pool) -> Text:
    """Return the smallest classes, and why files of the smallest could not be read, in words."""
    first = sorted(short, key=lambda item: item[1])
    shown = ", ".join(
        f"{count} {'image' if count == 1 else 'images'} of class {name!r}"
        for name, count in first[:5]
    )
    more = f" and too few of {len(first) - 5} more classes" if len(first) > 5 else ""
    skipped = [line for line in pool.skipped if _class_of(line, pool.classes) == first[0][0]]
    why = f" ({len(skipped)} could not be read, such as {skipped[0]})" if skipped else ""
    return Text(shown + more + why)


def _class_of(skipped: str, classes: tuple[str, ...]) -> str | None:
    """Return the class of a skipped file: the first of its folders with the name of a class."""
    return next((folder for folder in skipped.split("/") if folder in classes), None)
