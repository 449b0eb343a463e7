"""Images that occur more than once: equal or nearly so, within a split or across splits."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal, NamedTuple

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.images.duplicates import digests
from distill_tune.datasets.images.near_duplicates import near_pairs
from distill_tune.interfaces import Say, silent

_MOST_NEAR = 10_000
"""Near copies that are listed."""

Place = tuple[Part, int]
"""Split of an image, and its position there."""


class Copy(NamedTuple):
    """Two images that are the same, or nearly.

    Attributes:
        kind: ``equal`` pixel for pixel after scaling, or ``near``.
        first: File or number of one of them.
        second: File or number of the other.
        splits: Split of each.
        classes: Class of each.
    """

    kind: Literal["equal", "near"]
    first: str
    second: str
    splits: tuple[Part, Part]
    classes: tuple[str, str]

    @property
    def is_across(self) -> bool:
        """True if the images are in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def is_conflict(self) -> bool:
        """True if the images have different labels."""
        return self.classes[0] != self.classes[1]


def copies(pools: Mapping[Part, Pool], say: Say = silent) -> tuple[Copy, ...]:
    """Return every image that occurred before, with its first occurrence; equal ones first.

    Args:
        pools: Images of each split, with the same classes and size.
        say: Called with what is being done.
    """
    say("looking for equal images")
    places: list[Place] = [
        (part, index) for part, pool in pools.items() for index in range(len(pool.labels))
    ]
    equal = list(_equal(pools, places))
    known = {one for pair in equal for one in pair}
    near = (
        (places[one], places[other])
        for one, other in near_pairs([pool.images for pool in pools.values()], say)
        # Of equal images, only the first is compared with others.
        if not {places[one], places[other]} <= known
    )
    found = [_copy("equal", pools, pair) for pair in equal]
    found += [_copy("near", pools, pair) for pair in islice(near, _MOST_NEAR)]
    return tuple(found)


def _equal(pools: Mapping[Part, Pool], places: list[Place]) -> Iterator[tuple[Place, Place]]:
    found = (digest for pool in pools.values() for digest, _ in digests(pool))
    first: dict[bytes, Place] = {}
    for place, digest in zip(places, found, strict=True):
        if digest in first:
            yield first[digest], place
        else:
            first[digest] = place


def _copy(
    kind: Literal["equal", "near"], pools: Mapping[Part, Pool], pair: tuple[Place, Place]
) -> Copy:
    named = [_name(pools[part], part, index) for part, index in pair]
    labels = [pools[part].classes[pools[part].labels[index]] for part, index in pair]
    return Copy(kind, named[0], named[1], (pair[0][0], pair[1][0]), (labels[0], labels[1]))


def _name(pool: Pool, part: Part, index: int) -> str:
    return pool.names[index] if pool.names else f"{part} image {index}"
