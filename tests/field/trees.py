"""Folders of images as people have them, made from a line or two."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from distill_tune.datasets import Dataset, ImageSource

_SOURCES: TypeAdapter[ImageSource] = TypeAdapter(Dataset)


def names(root: Path, *paths: str) -> Path:
    """Make files that hold nothing; ``{0-3}`` stands for four of them."""
    for path in paths:
        for one in _each(path):
            (root / one).parent.mkdir(parents=True, exist_ok=True)
            (root / one).touch()
    return root


def _each(path: str) -> Iterable[str]:
    before, brace, rest = path.partition("{")
    if not brace:
        return [path]
    numbers, _, after = rest.partition("}")
    first, last = map(int, numbers.split("-"))
    return [f"{before}{number}{after}" for number in range(first, last + 1)]


def pictures(root: Path, *folders: str, num: int = 6, size: int = 8) -> Path:
    """Write as many PNG files of noise into each folder, all different."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([number, len(folder)])
        for index in range(num):
            pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{index}.png")
    return root


def source(root: Path, **values: Any) -> ImageSource:
    """Return the kind ``folder`` of a root, at 8 pixels unless told otherwise."""
    return _SOURCES.validate_python({"kind": "folder", "root": str(root), "image_size": 8} | values)
