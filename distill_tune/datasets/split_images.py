"""Splits as tensors, and the digest that identifies their images."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.images.arrays import with_channels
from distill_tune.datasets.images.pixels import to_tensor
from distill_tune.interfaces import Split


def digest(classes: tuple[str, ...], *splits: Split, unlabelled: Tensor | None = None) -> str:
    """Return 16 hex digits that change with any name, shape, pixel or label."""
    state = hashlib.blake2b(digest_size=8)
    state.update(repr(classes).encode("utf-8", "backslashreplace"))
    for split in splits:
        state.update(repr(tuple(split.images.shape)).encode())
        state.update(split.images.numpy().data)
        state.update(split.labels.numpy().astype("<i8").data)
    if unlabelled is not None:
        state.update(f"unlabelled {tuple(unlabelled.shape)}".encode())
        state.update(unlabelled.numpy().data)
    return state.hexdigest()


def split_of(pool: Pool, channels: int) -> Split:
    """Return the images of a pool, grey or RGB, and their labels."""
    images = to_tensor(with_channels(pool.images, channels))
    return Split(images, torch.from_numpy(pool.labels.astype(np.int64)))
