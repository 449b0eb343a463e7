"""The kind ``folder``: a directory with a sub-folder of image files for each class."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from distill_tune.datasets.duplicates import shared_files
from distill_tune.datasets.file_values import completed, depth_warnings, file_ranges
from distill_tune.datasets.image_files import decode_all, image_paths, printable, sub_folders
from distill_tune.datasets.paths import Root, absolute, not_found
from distill_tune.datasets.pool import Pool, unknown_names
from distill_tune.datasets.source import ImageSource, Part
from distill_tune.datasets.value_range import PER_FILE, ValueRange, given_ranges
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges

PART_NAMES: dict[str, Part] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


class Folder(ImageSource):
    """A directory of images: ``root/<class>/...``, or ``root/train/<class>/...`` and so on.

    With a ``train`` folder, ``val`` (``valid``, ``validation``) and ``test`` beside it are used
    where they are; a missing part is drawn from train. Anything Pillow reads will do, of any size
    and mode: it is turned upright, put on white, scaled by its shorter side and cropped.
    """

    kind: Literal["folder"]
    """Which data set."""
    root: Root
    """The directory."""
    image_size: int = Field(default=64, ge=4, le=1024)
    """Height and width in pixels."""
    flip: bool = True
    """Whether a mirrored image keeps its meaning (not for digits)."""
    value_range: ValueRange = "auto"
    """Values that become black and white, such as [0, 4095]; auto: found over all images."""

    @property
    def name(self) -> str:
        return printable(self._root.name) or self.kind

    def parts(self) -> frozenset[Part]:
        return frozenset(self._part_folders())

    def read(self, part: Part, ranges: ValueRanges | None = None) -> Pool:
        folders = self._part_folders()
        with permitted():
            ranges = ranges or self.value_ranges()
            if part == "test":
                files = class_files(folders[part]).values()
                ranges = completed(ranges, part, [path for some in files for path in some])
            pool = read_classes(folders[part], self._root, self.image_size, ranges)
            if part == "train" and "test" in folders:
                # Found now, by the folders' names alone, and not at the end of a long search.
                names = tuple(printable(path.name) for path in sub_folders(folders["test"]))
                unknown_names(names, known=pool.classes, part="test", where="data.root")
            if part != "test" and "test" in folders:
                told = shared_files(part, folders[part], folders["test"], self._root)
                pool = replace(pool, warnings=told)
        return pool

    def value_ranges(self) -> ValueRanges:
        if self.value_range == "per_file":
            return PER_FILE
        if self.value_range != "auto":
            return given_ranges(self.value_range)
        with permitted():
            parts: dict[str, list[Path]] = {
                part: [path for files in class_files(folder).values() for path in files]
                for part, folder in self._part_folders().items()
            }
        return file_ranges(parts)

    def check_parts(self) -> tuple[str, ...]:
        folders = self._part_folders()
        with permitted():
            if "test" in folders and not any(class_files(folders["test"]).values()):
                raise InputError(
                    "data.root",
                    got=Text(f"no image in test ({folders['test']})"),
                    expected="images, or no test folder: then test images are drawn from train",
                )
            return depth_warnings(class_files(folders["train"]))

    def part_folder(self, part: Part) -> Path | None:
        """Return the folder of a part; None where it is drawn from train."""
        return self._part_folders().get(part)

    @property
    def _root(self) -> Path:
        return absolute(self.root)

    def _part_folders(self) -> dict[Part, Path]:
        with permitted():
            if self._root.is_dir():
                return find_parts(self._root)
            above = self._root.parent
            raise not_found(
                self.root,
                sub_folders(above) if above.is_dir() else [],
                expected="a directory with a folder of images for each class",
            )


def find_parts(root: Path) -> dict[Part, Path]:
    """Return the folder of each part; ``root`` itself is train where there are no parts.

    Raises:
        InputError: Two folders for one part, or parts without train.
    """
    found = part_folders(root)
    if found and "train" not in found:
        raise InputError(
            "data.root",
            got=Text(f"{' and '.join(path.name for path in found.values())} in {root}"),
            expected="a train folder with a folder for each class beside",
        )
    return found or {"train": root}


def part_folders(root: Path) -> dict[Part, Path]:
    """Return the folders in ``root`` that are parts by their names; none where it has classes.

    Raises:
        InputError: Two folders for one part.
    """
    found: dict[Part, Path] = {}
    for path in sub_folders(root):
        part = PART_NAMES.get(path.name.lower())
        # A class may be called "train" (cars, planes, trains): parts hold folders of classes.
        if part is None or not sub_folders(path):
            continue
        if part in found:
            raise InputError(
                "data.root",
                got=Text(f"both {found[part].name!r} and {path.name!r} in {root}"),
                expected=f"one folder for {part}",
            )
        found[part] = path
    return found


@contextmanager
def permitted() -> Iterator[None]:
    """Say of a folder that may not be read that it may not."""
    try:
        yield
    except OSError as error:
        met = Text(f"{error.filename} ({error.strerror})")
        raise InputError("data.root", got=met, expected="a directory one may read") from None


def class_files(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of every class folder in ``folder``, by the name of the class."""
    of_class: dict[str, list[Path]] = {}
    for path in sub_folders(folder):
        of_class.setdefault(printable(path.name), []).extend(image_paths(path))
    return of_class


def read_classes(folder: Path, root: Path, size: int, ranges: ValueRanges = PER_FILE) -> Pool:
    """Read every image of every class folder in ``folder``; paths are told relative to ``root``.

    Raises:
        InputError: There is no class folder.
    """
    of_class = class_files(folder)
    if not of_class:
        raise InputError(
            "data.root",
            got=Text(f"{folder} without sub-folders"),
            expected="a folder of images for each class",
        )
    classes = tuple(sorted(of_class))
    paths = [path for name in classes for path in of_class[name]]
    labels = np.repeat(np.arange(len(classes)), [len(of_class[name]) for name in classes])
    names = [printable(path.relative_to(root).as_posix()) for path in paths]
    images, reasons = decode_all(paths, size, ranges)
    skipped = tuple(f"{names[number]}: {reason}" for number, reason in sorted(reasons.items()))
    numbers = labels.astype(np.int64)
    pool = Pool(images, numbers, classes, skipped, tuple(names), value_ranges=ranges)
    if not reasons:
        return pool
    readable = [number for number in range(len(paths)) if number not in reasons]
    return pool.take(np.array(readable, dtype=np.int64))
