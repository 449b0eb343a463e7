"""Near copies of images in another split: saved again, scaled, or slightly brighter.

A perceptual hash (``imagehash``) finds candidate pairs; the images' edges decide. The usual
similarity of edges between unrelated images differs much between data sets (high for digits, low
for photographs), so a copy must be far more similar than is usual in its set.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from distill_tune.datasets.image_pool import Bytes, Indices, Pool
from distill_tune.datasets.images.printable import counted
from distill_tune.interfaces import Say, silent

Rows = NDArray[np.float32]

MIN_SIZE = 12
"""Least height in pixels; smaller images hold too little to tell a copy from a similar image."""
MAX_PAIRS = 4_000_000_000
"""Largest number of pairs that is compared (seconds of work); with more, none are."""
_MAX_BITS = 8
"""Largest number of bits of the 64-bit hashes that may differ in a candidate pair."""
_EDGE_SIZE = 32
"""Height in pixels at which edges are compared."""
_SAMPLE = 400
"""Images sampled to measure the usual similarity within a set."""
_USUAL = 0.9
"""Quantile of the sampled similarities that stands for unrelated images: few pairs are copies."""
_FAR = 1.8
"""Distance of a copy beyond that quantile, in Fisher's z. Of the pairs with near hashes, the
closest unrelated images are 1.6 beyond it in the digits and in 5,000 images of MNIST, 1.4 in 2,000
of Fashion-MNIST, 0.8 in CIFAR-10 (apart from true copies), and 0.1 in blood cells; blood cells
saved as JPEG of quality 60, or scaled to a half and back, are 2.1 or more beyond it."""
_CHUNK = 1 << 22
"""Pairs of hashes compared at a time."""
_EDGES = 4096
"""Pairs of images compared at a time."""
_SAY_EVERY = 500
"""Images between two words on what is being done."""


class _Fingerprints(NamedTuple):
    """Hashes and small grey copies of images, for comparison.

    Attributes:
        hashes: ``[n]``, of 64 bits each.
        greys: ``[n, size, size]``, small.
    """

    hashes: NDArray[np.uint64]
    greys: Bytes


def near_copies(train: Pool, val: Pool, test: tuple[Pool, Indices]) -> tuple[str, ...]:
    """Return warnings that count validation and test images nearly equal to training images.

    Images that are equal pixel for pixel are left to ``duplicates``.

    Args:
        train: The training images.
        val: The validation images.
        test: A pool, and the positions of the test images in it; no split is built from them.
    """
    num = len(val.labels) + len(test[1])
    if train.images.shape[-1] < MIN_SIZE or not 0 < len(train.labels) * num <= MAX_PAIRS:
        return ()
    fingerprints = _fingerprints(train.images, np.arange(len(train.labels)))
    bound = _bound(fingerprints.greys)
    others = {"validation image": (val, np.arange(len(val.labels))), "test image": test}
    warnings: list[str] = []
    for noun, (pool, indices) in others.items():
        pairs = [
            (int(indices[here]), there)
            for here, there in _pairs(_fingerprints(pool.images, indices), fingerprints, bound)
            if not np.array_equal(pool.images[indices[here]], train.images[there])
        ]
        if pairs:
            number = len({here for here, _ in pairs})
            count = counted(number, noun)
            here, there = pairs[0]
            example = ""
            if train.names and pool.names:
                example = f", such as {pool.names[here]} (like {train.names[there]})"
            warnings.append(f"{count} nearly the same as one in train{example}")
    return tuple(warnings)


def near_pairs(parts: Sequence[Bytes], say: Say = silent) -> Iterator[tuple[int, int]]:
    """Yield the positions of two images that are nearly, but not pixel for pixel, the same.

    Args:
        parts: Images ``[n, 1 or 3, size, size]`` of each part, of one size; positions count through
            all parts. Nothing is compared if they are small, or too many.
        say: Called with what is being done.
    """
    images = [image for part in parts for image in part]
    if parts[0].shape[-1] < MIN_SIZE or not 0 < len(images) ** 2 <= MAX_PAIRS:
        return
    everyone = _fingerprints(images, range(len(images)), say)
    for here, there in _pairs(everyone, None, _bound(everyone.greys), say):
        if not np.array_equal(images[here], images[there]):
            yield there, here


def _fingerprints(
    images: Bytes | Sequence[Bytes], indices: Indices | range, say: Say = silent
) -> _Fingerprints:
    from imagehash import phash

    num = len(indices)
    size = min(images[0].shape[-1], _EDGE_SIZE) if num else 0
    hashes = np.zeros(num, dtype=np.uint64)
    greys = np.zeros((num, size, size), dtype=np.uint8)
    for row, index in enumerate(indices):
        if row % _SAY_EVERY == 0:
            say(f"hashing image {row + 1} of {num}")
        pixels = images[index]
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        grey = image.convert("L")
        small = grey.resize((size, size), Image.Resampling.LANCZOS)
        # The hash is that of an image of this size: a large image is scaled only once.
        hashed = phash(small if size == _EDGE_SIZE else grey)
        hashes[row] = np.packbits(hashed.hash.ravel()).view(np.uint64)[0]
        greys[row] = small
    return _Fingerprints(hashes, greys)


def _edges(greys: Bytes) -> Rows:
    """Return differences of neighbouring pixels as rows of length 1 (0 for a single colour)."""
    values = greys.astype(np.float32)
    down, right = np.diff(values, axis=1)[:, :, :-1], np.diff(values, axis=2)[:, :-1]
    rows = np.stack([down, right], axis=1).reshape(len(greys), -1)
    lengths: Rows = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return (rows / np.maximum(lengths, 1e-6)).astype(np.float32, copy=False)


def _bound(greys: Bytes) -> float:
    """Return the cosine similarity from which two images count as copies."""
    edges = _edges(greys[:: -(-len(greys) // _SAMPLE)])
    likeness = (edges @ edges.T)[np.triu_indices(len(edges), 1)]
    usual = float(np.quantile(likeness, _USUAL)) if len(likeness) else 0.0
    return float(np.tanh(np.arctanh(min(max(usual, 0.0), 0.999)) + _FAR))


def _pairs(
    other: _Fingerprints, train: _Fingerprints | None, bound: float, say: Say = silent
) -> Iterator[tuple[int, int]]:
    """Yield the positions of near copies, in ``other`` and in ``train``.

    Without ``train``, each image of ``other`` is compared with those before it.
    """
    known, num = other if train is None else train, len(other.hashes)
    rows = max(1, _CHUNK // len(known.hashes))
    for start in range(0, num, rows):
        say(f"comparing image {start + 1} of {num}")
        end = start + rows if train is None else None
        differ = other.hashes[start : start + rows, None] ^ known.hashes[None, :end]
        is_near = np.bitwise_count(differ) <= _MAX_BITS
        if train is None:
            is_near = np.tril(is_near, start - 1)
        here, there = np.nonzero(is_near)
        for first in range(0, len(here), _EDGES):
            some = slice(first, first + _EDGES)
            one, two = start + here[some], there[some]
            alike = (_edges(other.greys[one]) * _edges(known.greys[two])).sum(axis=1)
            for place in np.flatnonzero(alike >= bound):
                yield int(one[place]), int(two[place])
