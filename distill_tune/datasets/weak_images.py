"""Images in which there is little to see once they are scaled: named before anything is trained."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.pool import Pool
from distill_tune.datasets.value_range import BYTES, Range
from distill_tune.interfaces import ValueRanges

LEVELS = 256
FEW = 64
"""Levels from which on a set has contrast: a quarter of all."""
NEARLY_FLAT = 4
"""An image of fewer levels is nearly of one colour."""
_MANY = 0.5
"""Share of images that is told."""
_CHUNK = 256
_TAIL = 0.001
"""Share of pixels at either end that says nothing, such as defect pixels of a camera."""


def weaknesses(pool: Pool) -> tuple[str, ...]:
    """Say where scaled images have little or no contrast.

    Args:
        pool: Training images; not empty.
    """
    counts, spans = _look(pool)
    flat, nearly = spans == 0, spans < NEARLY_FLAT - 1
    if flat.all():
        return (f"every training image is of one colour{_advice(counts, pool.value_ranges)}",)
    return (*_nearly_flat(pool, nearly), *_few_levels(counts, pool.value_ranges))


def _look(pool: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many values there are of each level, and each image's span of levels."""
    counts = np.zeros(LEVELS, dtype=np.int64)
    spans = np.zeros(len(pool.images), dtype=np.int64)
    for start in range(0, len(pool.images), _CHUNK):
        some = pool.images[start : start + _CHUNK]
        counts += np.bincount(some.reshape(-1), minlength=LEVELS)
        # Of each channel: a coloured plane is of one colour.
        by_channel = some.reshape(*some.shape[:2], -1)
        widest = (by_channel.max(-1) - by_channel.min(-1)).max(-1)
        spans[start : start + _CHUNK] = widest
    return counts, spans


def _nearly_flat(pool: Pool, nearly: NDArray[np.bool_]) -> Iterator[str]:
    of_class = {
        name: own
        for label, name in enumerate(pool.classes)
        if len(own := nearly[pool.labels == label])
    }
    concerned = {name: own for name, own in of_class.items() if own.mean() >= _MANY}
    words = f"fewer than {NEARLY_FLAT} of {LEVELS} levels each: nearly of one colour"
    if len(concerned) == len(of_class):
        yield f"{nearly.sum()} of {len(nearly)} training images have {words}"
        return
    for name, own in concerned.items():
        yield f"{own.sum()} of {len(own)} training images of class {name!r} have {words}"


def _few_levels(counts: NDArray[np.int64], ranges: ValueRanges) -> Iterator[str]:
    used = np.flatnonzero(counts)
    if used[-1] - used[0] < FEW:
        yield f"the training images use {_used(counts)}{_advice(counts, ranges)}"
    elif ranges.integers or ranges.floats:
        shares = counts.cumsum() / counts.sum()
        low, high = np.searchsorted(shares, (_TAIL, 1 - _TAIL))
        if high - low < NEARLY_FLAT:
            yield (
                f"all but a few values of the training images lie in {high - low + 1} of {LEVELS} "
                f"levels, while some reach {used[-1]}: data.value_range can leave these out"
            )


def _used(counts: NDArray[np.int64]) -> str:
    used = np.flatnonzero(counts)
    return f"{len(used)} of {LEVELS} levels ({used[0]}..{used[-1]})"


def _advice(counts: NDArray[np.int64], ranges: ValueRanges) -> str:
    """Return which values the images have, where there is one range to name them in."""
    used = np.flatnonzero(counts)
    pair = _one_range(ranges)
    if used[0] == used[-1]:
        return f": level {used[0]} of {LEVELS}"
    if pair is None:
        return ""
    low, high = (pair[0] + level * (pair[1] - pair[0]) / BYTES[1] for level in (used[0], used[-1]))
    return f"; data.value_range: [{low:.4g}, {high:.4g}] would use them all"


def _one_range(ranges: ValueRanges) -> Range | None:
    pairs = {pair for pair in (ranges.eight_bit, ranges.integers, ranges.floats) if pair}
    return pairs.pop() if len(pairs) == 1 else None
