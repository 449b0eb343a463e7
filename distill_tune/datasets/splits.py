"""The seeded, stratified draw of test, validation and training images."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from distill_tune.datasets.image_pool import Indices, Labels, Pool
from distill_tune.datasets.train_part.train_counts import MIN_TRAIN, WHERE, LongTail, counts_of
from distill_tune.errors import InputError, Text

_RAREST = 3
"""Images of the rarest class that three splits are drawn from: one each."""
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
    train_per_class: int | LongTail | Mapping[str, int] | None

    def train_counts(self, pool: Pool) -> list[int | None]:
        """Return the limit of training images of each class of a pool; None: all that are left.

        Raises:
            InputError: A mapping does not fit the classes.
        """
        counts = counts_of(self.train_per_class, pool.classes, pool.counts())
        return [None] * len(pool.classes) if counts is None else [*counts]


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
    limits = sizes.train_counts(pool)
    _refuse_shortage(pool, sizes, limits, where)
    train, val, test = [], [], []
    for label, count in enumerate(pool.counts()):
        num_test, num_val = sizes.test.of(count), sizes.val.of(count)
        sealed = class_order(pool.labels, label, seed)[:num_test]
        order = class_order(pool.labels, label, subset_seed)
        rest = order[~np.isin(order, sealed)]
        test.append(sealed)
        val.append(rest[:num_val])
        train.append(rest[num_val:][::-1][: limits[label]])
    return Draw(*(np.sort(np.concatenate(parts)) for parts in (train, val, test)))


def first_of_each(pool: Pool, per_class: int | None, *, seed: int) -> Indices:
    """Return the positions of ``per_class`` images of every class (all for None), ascending.

    Raises:
        InputError: A class has fewer images, or files of which none can be read.
    """
    unreadable = {_class_of(line, pool.classes) for line in pool.skipped}
    short = [
        (name, count)
        for name, count in zip(pool.classes, pool.counts(), strict=True)
        if count < (per_class or int(name in unreadable))
    ]
    if short:
        expected = f"{per_class or 1} or more validation images in every class"
        raise InputError("data.val_per_class", got=_listed(short, pool), expected=expected)
    orders = [class_order(pool.labels, label, seed) for label in range(len(pool.classes))]
    return np.sort(np.concatenate([order[:per_class] for order in orders]))


def class_order(labels: Labels, label: int, seed: int) -> Indices:
    """Return the positions of one class in the order in which images are drawn."""
    members = np.flatnonzero(labels == label).astype(np.int64)
    return np.random.default_rng([seed, label]).permutation(members)


def _refuse_shortage(pool: Pool, sizes: SplitSizes, limits: list[int | None], where: str) -> None:
    pairs = zip(limits, pool.counts(), strict=True)
    needs = [limit or _least(sizes, count) for limit, count in pairs]
    short = [
        (name, count, need)
        for name, count, need in zip(pool.classes, pool.counts(), needs, strict=True)
        if count < need + sizes.val.of(count) + sizes.test.of(count)
    ]
    if not short:
        return
    name, count, num_train = min(short, key=lambda one: one[1])
    num_test, left = sizes.test.of(count), count - sizes.val.of(count) - sizes.test.of(count)
    is_equal = len(set(limits)) == 1
    advice = ""
    if left >= MIN_TRAIN:
        where = WHERE
        advice = f"; these images allow {'train_per_class ' if is_equal else ''}{left}"
    elif sizes.val.per_class is not None and count >= MIN_TRAIN + 1 + num_test:
        where = "data.val_per_class"
    scope = "every class" if is_equal else f"class {name!r}"
    listed = _listed([(one, number) for one, number, _ in short], pool)
    expected = f"at least {_needed(sizes, num_train, scope)}{advice}"
    raise InputError(where, got=listed, expected=expected)


def _least(sizes: SplitSizes, count: int) -> int:
    """Return the least training images of a class of ``count`` images."""
    is_one_each = sizes.val.of(_RAREST) == sizes.test.of(_RAREST) == 1
    return 1 if is_one_each and count <= _RAREST else MIN_TRAIN


def _needed(sizes: SplitSizes, num_train: int, scope: str) -> str:
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
    return f"{needed} in {scope}: {listed}"


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
