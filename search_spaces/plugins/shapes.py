"""A data set of one's own: noisy discs and squares."""

from typing import Literal

import numpy as np

from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.source import ImageSource


class Shapes(ImageSource):
    """``num_images`` discs and squares of random sizes, to be split like any train part."""

    kind: Literal["shapes"]
    flip: bool = True
    num_images: int = 200

    def parts(self) -> frozenset[str]:
        return frozenset({"train"})

    def read(self, part: str, ranges: object = None) -> Pool:  # noqa: ARG002
        random, labels = np.random.default_rng(0), np.arange(self.num_images) % 2
        y, x = abs(np.mgrid[-8:8, -8:8] + 0.5)
        distance = np.stack([np.hypot(x, y), np.maximum(x, y)])[labels, None]
        is_inside = distance < random.uniform(3, 7, (self.num_images, 1, 1, 1))
        images = 200 * is_inside + random.integers(0, 56, is_inside.shape)
        return Pool(images.astype(np.uint8), labels, ("disc", "square"))


DATASETS = {"shapes": Shapes}
