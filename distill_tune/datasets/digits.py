"""The kind ``digits``: the small handwritten digits that come with scikit-learn."""

from typing import Literal

import numpy as np

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.images.arrays import fit
from distill_tune.datasets.pool import Pool
from distill_tune.datasets.source import ImageSource
from distill_tune.interfaces import ValueRanges


class Digits(ImageSource):
    """1,797 grey digits of 8x8 pixels; needs no file and no network."""

    kind: Literal["digits"]
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
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.round(digits.images[:, None] * (255 / 16)).astype(np.uint8)
        labels = digits.target.astype(np.int64)
        return Pool(fit(images, self.image_size), labels, tuple("0123456789"))
