"""Images of one instrument, as people keep them: in files and in arrays, of any depth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from distill_tune.datasets import Dataset, ImageSource
from distill_tune.interfaces import ImageData

Array = NDArray[Any]
CLASSES = ("ant", "bee")
LABELS = np.arange(40) % 2


def source(**values: Any) -> ImageSource:
    """Return the data set that plain values describe."""
    adapter: TypeAdapter[ImageSource] = TypeAdapter(Dataset)
    return adapter.validate_python(values)


def noise(num: int, white: float, seed: int = 0, size: int = 8) -> Array:
    """Return ``[num, size, size]`` floats, even from 0 to white, both ends reached."""
    values = np.random.default_rng(seed).uniform(0, white, (num, size, size))
    values[0, 0, :2] = 0, white
    return values


def write_files(folder: Path, images: Array, suffix: str = "png") -> Path:
    """Write one file for each image."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:02}.{suffix}")
    return folder


def whole(white: float, seed: int = 0, num: int = 40) -> Array:
    """Return ``noise`` rounded to integers of 16 bits."""
    return noise(num, white, seed).round().astype(np.uint16)


def folder(root: Path, images: Callable[[int], Array], suffix: str = "png") -> ImageData:
    """Return a folder of two classes, whose images ``images(label)`` makes."""
    for label, name in enumerate(CLASSES):
        write_files(root / name, images(label), suffix)
    return source(kind="folder", root=str(root), image_size=8).load()


def npz(path: Path, **arrays: Any) -> Path:
    """Write arrays into a file; return its path."""
    np.savez(path, **arrays)
    return path


def npz_data(root: Path, **arrays: Any) -> ImageData:
    """Return the data of an ``.npz`` file, ``a.npz``, that is written with these arrays."""
    return source(kind="npz", root=str(npz(root / "a.npz", **arrays))).load()


def mean(data: ImageData, label: int | None = None) -> float:
    """Return the mean level of training and validation images, of one class or of all."""
    images = torch.cat([data.train.images, data.val.images]).float()
    labels = torch.cat([data.train.labels, data.val.labels])
    return float(images.mean() if label is None else images[labels == label].mean())
