"""Images of one instrument, as people keep them: in files and in arrays, of any depth."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from distill_tune.datasets import Dataset, ImageSource

Array = NDArray[Any]


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
