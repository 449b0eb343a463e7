"""A study's images in Ray's object store: once on a node, read by all its trials where they lie."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from distill_tune.interfaces import ImageData, Split


class PlacedImages(NamedTuple):
    """Image data whose pixels Ray neither pickles nor copies: it does so with tensors.

    Attributes:
        described: The data set without its images.
        train: ``images`` and ``labels``, as arrays.
        val: The same.
    """

    described: ImageData
    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    val: tuple[NDArray[np.uint8], NDArray[np.int64]]

    @classmethod
    def of(cls, images: ImageData) -> "PlacedImages":
        """Return what is put into the object store."""
        # Copies: a view is pickled with all of its storage.
        nothing = Split(images.train.images[:0].clone(), images.train.labels[:0].clone())
        described = ImageData(**{**vars(images), "train": nothing, "val": nothing})
        return cls(described, _arrays(images.train), _arrays(images.val))

    def images(self) -> ImageData:
        """Return the data set; nobody may write to its tensors, which all trials share."""
        splits = {"train": _split(self.train), "val": _split(self.val)}
        return ImageData(**{**vars(self.described), **splits})


def _arrays(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    # One with gaps would be copied into the pickle.
    return np.ascontiguousarray(split.images), np.ascontiguousarray(split.labels)


def _split(arrays: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> Split:
    with warnings.catch_warnings():
        # Of arrays that cannot be written to: so it is meant.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Split(*(torch.from_numpy(array) for array in arrays))
