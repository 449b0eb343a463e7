"""What there is to know about a user's images before a study is drafted for them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distill_tune.datasets.folder import Folder
from distill_tune.datasets.folder_tree.origin import passed_over
from distill_tune.datasets.image_pool import Pool, Pools
from distill_tune.datasets.images.arrays import CHUNK, is_grey
from distill_tune.datasets.images.value_range import range_line
from distill_tune.datasets.npz import Npz
from distill_tune.tuning.draft.sources import blamed_on_options, source_of

_MOST_OPENED = 2_000
"""Files whose headers are read to learn the sizes of the images."""
_MOST_PIXELS = 64
"""Side to which larger images are scaled."""
_UNBALANCED = 1.5


class ImageFacts(NamedTuple):
    """Facts about the images of a data set.

    Attributes:
        fields: Fields of ``data`` that are given: the kind, its root, and what the user set.
        classes: Class names.
        counts: Images of each class that validation and test images may have to be drawn from.
        pools: The images, at most 64 pixels large unless the user gives a size.
        val_counts: Images of each class in a separate validation part; None without one.
        has_test: Whether there is a separate test part.
        sides: Least, median and greatest shorter side of the training images, in pixels.
        is_grey: Whether no image has colour.
        colour_share: Share of the variance of the images' mean colours that classes explain.
        flips: Whether a mirrored image keeps its meaning; None if only the user can know.
        range_words: Which values become black and white; empty for ordinary 8-bit images.
        warnings: What the user should hear.
    """

    fields: dict[str, Any]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    pools: Pools
    val_counts: tuple[int, ...] | None = None
    has_test: bool = False
    sides: tuple[int, int, int] = (32, 32, 32)
    is_grey: bool = False
    colour_share: float = 0.0
    flips: bool | None = None
    range_words: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_unbalanced(self) -> bool:
        """Whether the largest class has at least half as many images again as the smallest."""
        return max(self.counts) >= _UNBALANCED * min(self.counts)

    @property
    def pixels(self) -> str:
        """The sizes of the images in words."""
        least, median, most = self.sides
        return f"{span(self.sides)} pixels" + (f", median {median}" if least < most else "")

    def __str__(self) -> str:
        colour = "grey" if self.is_grey else "colour"
        parts = ["validation"] * bool(self.val_counts) + ["test"] * self.has_test
        separate = f"separate {' and '.join(parts)} images" if parts else "no separate parts"
        return (
            f"{sum(self.counts)} images of {len(self.classes)} classes, {span(self.counts)} of "
            f"each, {colour}, {self.pixels}; {separate}\n{self.range_words}"
        ).rstrip()


def span(numbers: Sequence[int]) -> str:
    """Return the range of some numbers, such as ``3 to 7``, or the one that they all are."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def look_at(data: str, assignments: Sequence[str] = ()) -> ImageFacts:
    """Read the training and validation images of :func:`source_of` and return the facts about them.

    Raises:
        InputError: There is no usable data set; the message names the option to change.
    """
    source, fields = source_of(data, assignments)
    own = source if isinstance(source, Folder | Npz) else None
    with blamed_on_options(fields):
        sides = sorted(own.shorter_sides(_MOST_OPENED)) if own else []
        if sides and "image_size" not in fields:
            size = max(4, min(sides[len(sides) // 2], _MOST_PIXELS))
            source = source.model_copy(update={"image_size": size})
        warnings, pools = source.check_parts(), source.read_pools()
        train, val = pools.train, pools.val
    sides = sides or [train.images.shape[-1]]
    every = np.arange(len(train.labels))
    return ImageFacts(
        fields=fields,
        classes=train.classes,
        counts=tuple(train.counts()),
        pools=Pools(train, val),
        val_counts=tuple(val.counts()) if val else None,
        has_test="test" in source.parts(),
        sides=(sides[0], sides[len(sides) // 2], sides[-1]),
        is_grey=source.color == "grey" or is_grey(train.images, every),
        colour_share=colour_share(train),
        flips=None if own and "flip" not in fields else source.flip,
        range_words=range_line(train.value_ranges),
        warnings=(
            *warnings,
            *passed_over(train.passed + (val.passed if val else ())),
            *_skipped(train.skipped + (val.skipped if val else ())),
        ),
    )


def colour_share(pool: Pool) -> float:
    """Return the share of the variance of the images' mean colours that classes explain.

    It is about 0 if they explain no more than chance. Brightness does not count as colour: each
    image's own mean is subtracted first.
    """
    starts = range(0, len(pool.images), CHUNK)
    means = np.concatenate([pool.images[s : s + CHUNK].mean(axis=(2, 3)) for s in starts])
    colours = means - means.mean(axis=1, keepdims=True)
    own = [colours[pool.labels == label] for label in np.unique(pool.labels)]
    num_free = len(colours) - len(own)
    variance = ((colours - colours.mean(axis=0)) ** 2).sum() / (len(colours) - 1)
    # For grey images, only rounding errors are left.
    if num_free == 0 or variance < 1e-6:
        return 0.0
    unexplained = sum(((one - one.mean(axis=0)) ** 2).sum() for one in own) / num_free
    return max(0.0, float(1 - unexplained / variance))


def _skipped(files: Sequence[str]) -> tuple[str, ...]:
    noun = "file" if len(files) == 1 else "files"
    text = f"{len(files)} unreadable {noun} left out, such as {''.join(files[:1])}"
    return (text,) if files else ()
