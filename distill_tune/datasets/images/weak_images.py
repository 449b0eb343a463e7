"""Images with little contrast after scaling, reported before training."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.images.pixels import rows
from distill_tune.datasets.images.value_range import BYTES, Range
from distill_tune.interfaces import ValueRanges

LEVELS = 256
FEW = 64
"""Span of levels above which a set has contrast: a quarter of all, as 12 of 14 bits."""
NEARLY_FLAT = 4
"""An image with fewer levels is nearly of a single colour."""
_MANY = 0.5
"""Least share of a class's images at which the class is named."""
_SOME, _SOME_SHARE = 2, 0.01
"""Least number, and least share of all images, that is reported."""
_CHUNK = 256
_TAIL, _DEEP_TAIL = 0.001, 0.03
"""Share of pixels that is ignored at either end, such as defective pixels of a camera; in images of
more than 8 bits, also marks and text written into them."""
_MOSTLY = 0.5
"""Share of white above which a given range is reported as ending too low."""


def weaknesses(pool: Pool) -> tuple[str, ...]:
    """Return warnings about scaled images with little or no contrast.

    Args:
        pool: Training images; not empty.
    """
    counts, spans = _look(pool)
    flat, nearly = spans == 0, spans < NEARLY_FLAT - 1
    if flat.all():
        used = np.flatnonzero(counts)
        advice = _advice(used[0], used[-1], pool.value_ranges)
        return (f"every training image is of one colour{advice}",)
    return (
        *_nearly_flat(pool, nearly),
        *_few_levels(counts, pool.value_ranges),
        *_cut_off(counts, pool.value_ranges),
    )


def _look(pool: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of values at each level, and the span of levels of each image."""
    counts = np.zeros(LEVELS, dtype=np.int64)
    spans = np.zeros(len(pool.images), dtype=np.int64)
    step = rows(pool.images, _CHUNK)
    for start in range(0, len(pool.images), step):
        some = pool.images[start : start + step]
        counts += np.bincount(some.reshape(-1), minlength=LEVELS)
        # Per channel, because a plane of one colour may have several levels across channels.
        by_channel = some.reshape(*some.shape[:2], -1)
        widest = (by_channel.max(-1) - by_channel.min(-1)).max(-1)
        spans[start : start + step] = widest
    return counts, spans


def _nearly_flat(pool: Pool, nearly: NDArray[np.bool_]) -> Iterator[str]:
    of_class = {
        name: own
        for label, name in enumerate(pool.classes)
        if len(own := nearly[pool.labels == label])
    }
    if nearly.sum() < max(_SOME, _SOME_SHARE * len(nearly)):
        return
    concerned = {name: own for name, own in of_class.items() if own.mean() >= _MANY}
    words = f"fewer than {NEARLY_FLAT} of {LEVELS} levels each: nearly of one colour"
    if len(concerned) in {0, len(of_class)}:
        first = int(np.argmax(nearly))
        example = f", such as {pool.names[first]}" if pool.names else ""
        yield f"{nearly.sum()} of {len(nearly)} training images have {words}{example}"
        return
    for name, own in concerned.items():
        yield f"{own.sum()} of {len(own)} training images of class {name!r} have {words}"


def _few_levels(counts: NDArray[np.int64], ranges: ValueRanges) -> Iterator[str]:
    used = np.flatnonzero(counts)
    if used[-1] - used[0] <= FEW:
        yield f"the training images use {_used(counts)}{_advice(used[0], used[-1], ranges)}"
        return
    shares = counts.cumsum() / counts.sum()
    tail = _DEEP_TAIL if ranges.integers or ranges.floats else _TAIL
    low, high = np.searchsorted(shares, (tail, 1 - tail))
    if high - low <= FEW:
        yield (
            f"all but a few values of the training images lie in {high - low + 1} of {LEVELS} "
            f"levels ({low}..{high}), while some reach {used[-1]}{_advice(low, high, ranges)}"
        )


def _cut_off(counts: NDArray[np.int64], ranges: ValueRanges) -> Iterator[str]:
    share = counts[-1] / counts.sum()
    if ranges.is_given and share > _MOSTLY:
        white = f"{share:.0%} of the values of the training images are white"
        yield f"{white} with the given data.value_range"


def _used(counts: NDArray[np.int64]) -> str:
    used = np.flatnonzero(counts)
    return f"{len(used)} of {LEVELS} levels ({used[0]}..{used[-1]})"


def _advice(first: int, last: int, ranges: ValueRanges) -> str:
    """Return advice on the value range; empty if the images have no common range."""
    pair = _one_range(ranges)
    if first == last:
        return f": level {first} of {LEVELS}"
    if pair is None:
        return ""
    low, high = (pair[0] + level * (pair[1] - pair[0]) / BYTES[1] for level in (first, last))
    return f"; data.value_range: [{low:.4g}, {high:.4g}] would use them all"


def _one_range(ranges: ValueRanges) -> Range | None:
    pairs = {pair for pair in (ranges.eight_bit, ranges.integers, ranges.floats) if pair}
    return pairs.pop() if len(pairs) == 1 else None
