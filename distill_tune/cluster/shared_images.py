"""Images of a study in Ray's object store: one copy per node, read in place by its trials."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from numpy.typing import NDArray

from distill_tune.cluster.resources import every_node
from distill_tune.datasets import Dataset
from distill_tune.datasets.image_pool import Pools
from distill_tune.datasets.images.pixels import file_of, tensor_in
from distill_tune.interfaces import ImageData, Split


class _File(NamedTuple):
    """Images in a file on the only machine of a cluster."""

    path: str
    shape: tuple[int, ...]


class PlacedImages(NamedTuple):
    """Image data whose pixels Ray neither pickles nor copies, as it would do with tensors.

    Attributes:
        described: The data set without its images.
        train: ``images`` and ``labels``, as arrays; images in a file stay there.
        val: The same.
        unlabelled: Images without labels; None if there are none.
    """

    described: ImageData
    train: tuple[NDArray[np.uint8] | _File, NDArray[np.int64]]
    val: tuple[NDArray[np.uint8] | _File, NDArray[np.int64]]
    unlabelled: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, images: ImageData) -> "PlacedImages":
        """Return image data in the form that goes into the object store."""
        # Copies: a view would be pickled with all of its storage.
        nothing = Split(images.train.images[:0].clone(), images.train.labels[:0].clone())
        without = {"train": nothing, "val": nothing, "unlabelled": None}
        others = None if images.unlabelled is None else np.ascontiguousarray(images.unlabelled)
        described = ImageData(**{**vars(images), **without})
        return cls(described, _arrays(images.train), _arrays(images.val), others)

    def images(self) -> ImageData:
        """Return the data set; all trials share its tensors, which must not be written to."""
        splits = {"train": _split(self.train), "val": _split(self.val)}
        others = None if self.unlabelled is None else _tensor(self.unlabelled)
        return ImageData(**{**vars(self.described), **splits, "unlabelled": others})


def placed(images: ImageData) -> Any:
    """Put images into Ray's object store, as :class:`PlacedImages`; return the reference."""
    return ray.put(PlacedImages.of(images))


def placed_split(split: Split) -> Any:
    """Put a split into Ray's object store, for :func:`opened_split`; return the reference."""
    return ray.put(_arrays(split))


def opened_split(arrays: Any) -> Split:
    """Return a placed split; its tensors must not be written to."""
    return _split(arrays)


def _arrays(split: Split) -> tuple[NDArray[np.uint8] | _File, NDArray[np.int64]]:
    if (path := file_of(split.images)) and _is_one_machine():
        return _File(path, tuple(split.images.shape)), np.ascontiguousarray(split.labels)
    # An array that is not contiguous would be copied into the pickle.
    return np.ascontiguousarray(split.images), np.ascontiguousarray(split.labels)


def _is_one_machine() -> bool:
    """Return whether Ray was started on this machine alone: it then listens on loopback only."""
    return all(node["NodeManagerAddress"] == "127.0.0.1" for node in every_node())


def _split(arrays: tuple[NDArray[np.uint8] | _File, NDArray[np.int64]]) -> Split:
    images, labels = arrays
    if isinstance(images, _File):
        return Split(tensor_in(*images), _tensor(labels))
    return Split(_tensor(images), _tensor(labels))


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    with warnings.catch_warnings():
        # The arrays are read-only on purpose.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


_KEPT = 2
"""Draws whose images are kept for later runs; runs of one seed follow each other."""


class StudyImages:
    """Images of a study, and those redrawn from the same pool for other seeds.

    The pool is read once. Ray keeps the images of a draw while a task needs them.

    Args:
        data: The study's data set.
        own: The images that ``data`` itself draws.
    """

    def __init__(self, data: Dataset, own: ImageData) -> None:
        self._data, self._own = data, own
        self._pools: Pools | None = None
        self._digests: dict[int | None, str] = {data.subset_seed: own.digest}
        self._placed: dict[int | None, Any] = {}

    @property
    def num_train(self) -> int:
        """Number of training images of a draw."""
        return len(self._own.train.labels)

    def of(self, data: Dataset) -> ImageData:
        """Return the images that ``data``, the study's own or a redraw, draws."""
        if data.subset_seed == self._data.subset_seed:
            return self._own
        self._pools = self._pools or self._data.read_pools()
        images = data.load(self._pools)
        self._digests[data.subset_seed] = images.digest
        return images

    def overlap(self, data: Dataset) -> float:
        """Return the share of the training images of ``data`` that are among the study's own."""
        own, others = set(_hashes(self._own.train)), _hashes(self.of(data).train)
        return sum(one in own for one in others) / len(others)

    def digest(self, data: Dataset) -> str:
        """Return the digest of the images that ``data`` draws."""
        if data.subset_seed not in self._digests:
            self.of(data)
        return self._digests[data.subset_seed]

    def place(self, data: Dataset) -> Any:
        """Put the images that ``data`` draws into Ray's object store; return the reference."""
        if data.subset_seed not in self._placed:
            while len(self._placed) >= _KEPT:
                del self._placed[next(iter(self._placed))]
            self._placed[data.subset_seed] = placed(self.of(data))
        return self._placed[data.subset_seed]


def _hashes(split: Split) -> list[int]:
    return [hash(image.tobytes()) for image in split.images.numpy()]
