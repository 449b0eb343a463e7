"""The kind ``digits``: the small handwritten digits that come with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.image_pool import Bytes, Labels, Pool
from distill_tune.datasets.images.arrays import fit
from distill_tune.datasets.source import ImageSource
from distill_tune.interfaces import ValueRanges


class EmbeddedDigits(ImageSource):
    """Handwritten digits that come with a library, all in one pool."""

    flip: bool = False
    """Whether a mirrored image keeps its meaning (not for digits)."""

    def arrays(self) -> tuple[Bytes, Labels]:
        """Return all images, uint8 NCHW, and their labels."""
        raise NotImplementedError

    def parts(self) -> frozenset[Part]:
        return frozenset({"train"})

    def read(
        self,
        part: Part,  # noqa: ARG002 - there is only one pool
        ranges: ValueRanges | None = None,  # noqa: ARG002 - always 8 bits
    ) -> Pool:
        images, labels = self.arrays()
        return Pool(fit(images, self.image_size), labels, tuple("0123456789"))


class Digits(EmbeddedDigits):
    """1,797 grey digits of 8x8 pixels; needs no file and no network."""

    kind: Literal["digits"]
    """Which data set."""

    def arrays(self) -> tuple[Bytes, Labels]:
        rows = _rows()
        images = np.round(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
        return images, rows[:, -1].astype(np.int64)


def _rows() -> NDArray[np.float64]:
    """Return scikit-learn's digits ``[1797, 65]``: 64 pixels from 0 to 16, then the label.

    Its file is read directly: importing scikit-learn takes longer than a second.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.exists():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.column_stack([pixels, labels])
