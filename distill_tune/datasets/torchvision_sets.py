"""The kinds that torchvision provides: CIFAR, MNIST, Fashion-MNIST, SVHN and STL-10."""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field

from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.folder_tree.paths import Root, absolute
from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.images.arrays import channels_first, fit
from distill_tune.datasets.source import ImageSource
from distill_tune.datasets.torchvision_files import (
    FETCH_ERRORS,
    READ_ERRORS,
    Layout,
    dataset_class,
    fetch,
    layout,
)
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges

Kind = Literal["cifar10", "cifar100", "fashion_mnist", "mnist", "stl10", "svhn"]
KINDS: tuple[str, ...] = get_args(Kind)
DIGITS = frozenset({"mnist", "svhn"})


def _flips(values: dict[str, Any]) -> bool:
    return values.get("kind") not in DIGITS


class TorchvisionSet(ImageSource):
    """A public data set in torchvision's own files; validation is drawn from its train part."""

    kind: Kind
    """The kind of data set."""
    root: Root = "data"
    """The directory that torchvision calls root."""
    download: bool = True
    """Download missing files."""
    flip: bool = Field(default_factory=_flips)
    """Whether a mirrored image keeps its meaning; by default not for digits."""

    def parts(self) -> frozenset[Part]:
        return frozenset({"train", "test"})

    def read(
        self,
        part: Part,
        ranges: ValueRanges | None = None,  # noqa: ARG002 - of 8 bits
    ) -> Pool:
        half: Literal["train", "test"] = "train" if part == "train" else "test"
        place = layout(self.kind, half)
        try:
            return self._pool(place, part)
        except READ_ERRORS:
            pass  # Absent or damaged: the code below fetches the files, or says what is missing.
        try:
            fetch(self.kind, half, self._root, download=self.download)
            return self._pool(place, part)
        except (*FETCH_ERRORS, *READ_ERRORS) as error:
            raise self._missing(place, part, error) from None

    def check_parts(self) -> tuple[str, ...]:
        place, train = layout(self.kind, "test"), layout(self.kind, "train")
        absent = self._absent(place)
        # A download of the training images includes the test images.
        if not absent or len(self._absent(train)) == len(train.files) or self._is_packed(place):
            return ()
        then = "confirm has to download them" if self.download else "confirm needs them"
        return (f"test images are missing in {self._root}: {', '.join(absent)}; {then}",)

    def _absent(self, place: Layout) -> list[str]:
        paths = {name: self._root / name for name in place.files}
        return [
            name for name, path in paths.items() if not path.is_file() or path.stat().st_size == 0
        ]

    def _is_packed(self, place: Layout) -> bool:
        archives = [self._root / name for name, _ in place.archives]
        return bool(archives) and all(path.is_file() for path in archives)

    @property
    def _root(self) -> Path:
        return absolute(self.root)

    def _pool(self, place: Layout, part: Part) -> Pool:
        if self.kind in {"svhn", "stl10"}:
            dataset = place.dataset(str(self._root), split=part)
        else:
            dataset = place.dataset(str(self._root), train=part == "train")
        labels = dataset.labels if self.kind in {"svhn", "stl10"} else dataset.targets
        images = channels_first(np.asarray(dataset.data), self.kind)
        numbers = np.asarray(labels).astype(np.int64)
        if len(images) != len(numbers):
            raise ValueError(f"{len(images)} images, but {len(numbers)} labels")
        classes = tuple("0123456789") if self.kind in DIGITS else tuple(dataset.classes)
        return Pool(fit(images, self.image_size), numbers, classes)

    def _missing(self, place: Layout, part: Part, reason: Exception) -> InputError:
        absent = [name for name in place.files if not (self._root / name).is_file()]
        state = f"without {', '.join(absent)}" if absent else "with files that are damaged"
        if len(absent) == len(place.files):
            state = "without its files"
        name = dataset_class(self.kind).__name__
        command = f"python -c \"import torchvision.datasets as d; d.{name}('{self._root}', "
        split = f"split='{part}', " if self.kind == "svhn" else ""
        detail = " ".join(str(reason).split())
        tried = f"; the download failed: {detail}" if self.download else ""
        return InputError(
            "data.root",
            got=Text(f"{self.root!r} (looked in {self._root}) {state}{tried}"),
            expected=f"{self.kind} as torchvision keeps it: {', '.join(place.files)} in that "
            f"directory, made from {' and '.join(place.urls)}; where there is a network, "
            f'{command}{split}download=True)" fetches them',
        )
