"""A trial's images on its device, and random draws from per-class pools."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from distill_tune.interfaces import ImageData, Split


class ClassPools(NamedTuple):
    """Indices of training images for each class, for draws without a loop.

    Attributes:
        indices: ``[num_classes, longest]`` int64; row c holds ``counts[c]`` indices, then zeros.
        counts: ``[num_classes]`` int64; 0 = the class has no pool.
    """

    indices: Tensor
    counts: Tensor

    @classmethod
    def of(cls, pools: list[Tensor]) -> "ClassPools":
        """Return pools from one tensor of indices per class."""
        counts = torch.tensor([len(pool) for pool in pools], device=pools[0].device)
        indices = torch.zeros(
            len(pools), max(1, int(counts.max())), dtype=torch.int64, device=pools[0].device
        )
        for row, pool in zip(indices, pools, strict=True):
            row[: len(pool)] = pool
        return cls(indices, counts)

    def draw(self, labels: Tensor, numbers: Tensor) -> Tensor:
        """Return an index ``[n]`` for every label from uniform numbers ``[n]`` in [0, 1)."""
        counts = self.counts[labels]
        positions = (numbers * counts).long().clamp_(max=counts.clamp(min=1) - 1)
        return self.indices[labels, positions]


@dataclass(frozen=True)
class DeviceData:
    """The training and validation images on the trial's device, stored as uint8.

    Attributes:
        train: Labelled images.
        val: The same.
        num_classes: Number of classes.
        flip: Whether a mirrored image keeps its meaning.
        by_class: The training images of each class.
        unlabelled: Images without labels, ``[n, channels, size, size]``; None if there are none.
    """

    train: Split
    val: Split
    num_classes: int
    flip: bool
    by_class: ClassPools
    unlabelled: Tensor | None = None

    @classmethod
    def place(cls, data: ImageData, device: torch.device) -> "DeviceData":
        """Return ``data`` on ``device``."""
        train = Split(*(tensor.to(device) for tensor in data.train))
        val = Split(*(tensor.to(device) for tensor in data.val))
        pools = [(train.labels == label).nonzero().squeeze(1) for label in range(data.num_classes)]
        others = None if data.unlabelled is None else data.unlabelled.to(device)
        return cls(train, val, data.num_classes, data.flip, ClassPools.of(pools), others)

    @property
    def device(self) -> torch.device:
        """Device of the images."""
        return self.train.images.device
