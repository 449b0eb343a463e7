"""The kind ``folder``: a directory with a sub-folder of image files for each class."""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from distill_tune.datasets.folder_tree.class_files import class_files, files_of, filled
from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.part_folders import PartFolder, Tree
from distill_tune.datasets.folder_tree.part_names import Part
from distill_tune.datasets.folder_tree.paths import Root, absolute, not_found
from distill_tune.datasets.folder_tree.tree import given_tree
from distill_tune.datasets.folder_tree.unsorted_images import no_class_folders, one_class
from distill_tune.datasets.folder_tree.warnings import (
    class_warnings,
    left_out_warnings,
    names_of,
    nested_warnings,
    shown_path,
    thumbnails_of,
    unused_warnings,
)
from distill_tune.datasets.image_pool import Pool, absent_classes, unknown_names
from distill_tune.datasets.images.duplicates import shared_files
from distill_tune.datasets.images.file_values import (
    Depth,
    completed,
    depth_warnings,
    depths_of,
    file_ranges,
    require_scale,
)
from distill_tune.datasets.images.image_files import decode_all, sizes_and_modes
from distill_tune.datasets.images.printable import printable
from distill_tune.datasets.images.value_range import PER_FILE, given_ranges
from distill_tune.datasets.images.value_range_field import ValueRange
from distill_tune.datasets.source import ImageSource
from distill_tune.errors import InputError, Text
from distill_tune.interfaces import ValueRanges


class Folder(ImageSource):
    """A directory of images: ``root/<class>/...``, or ``root/train/<class>/...`` and so on.

    Folders with names such as ``Training``, ``seg_test`` or ``val2017`` are parts; a missing part
    is drawn from train. Every format that Pillow reads is accepted, in any size and mode: images
    are turned upright, put on white, scaled by the shorter side and cropped.
    """

    kind: Literal["folder"]
    """The kind of data set."""
    root: Root
    """The directory."""
    image_size: int = Field(default=64, ge=4, le=1024)
    """Height and width in pixels."""
    flip: bool = True
    """Whether a mirrored image keeps its meaning (not for digits)."""
    train: Root | None = None
    """Folder of the training images, relative to root; null: found by its name. If it is given, no
    other part is searched for; ``.`` is the root itself, whose folders are then the classes."""
    val: Root | None = None
    """Folder of the validation images, relative to root; null: found by its name."""
    test: Root | None = None
    """Folder of the test images, relative to root; null: found by its name."""
    cache_bytes: int = Field(default=1 << 31, ge=0)
    """Bytes of pixels that are kept in memory; more are decoded into a temporary file (in TMPDIR),
    of which the processes of a machine read what they need. The numbers are the same."""
    value_range: ValueRange = "auto"
    """Values that become black and white, such as [0, 4095]; auto: detected over all images."""

    @property
    def name(self) -> str:
        return printable(self._root.name) or self.kind

    def parts(self) -> frozenset[Part]:
        return frozenset(self._tree().parts)

    def places(self) -> dict[Part, str]:
        parts = self._tree().parts
        return {part: shown_path(found.classes, self._root) for part, found in parts.items()}

    def read(self, part: Part, ranges: ValueRanges | None = None) -> Pool:
        tree = self._tree()
        folders = tree.parts
        own = folders[part]
        with permitted():
            ranges = ranges or self.value_ranges()
            if part == "test":
                ranges = completed(ranges, part, self._files(own))
            read_all = partial(read_classes, without=self._no_classes(own), ranges=ranges)
            pool = read_all(own.classes, self._root, self.image_size, most_bytes=self.cache_bytes)
            if part == "train" and len(pool.classes) == 1 and len(pool.labels):
                raise one_class(own.classes, pool.classes[0], self._root)
            if part == "train" and "test" in folders:
                # Checked now, by the folders' names alone, not at the end of a long search.
                names = tuple(printable(path.name) for path in folders["test"].class_folders())
                unknown_names(names, known=pool.classes, part="test", where="data.root")
            warnings = pool.warnings + left_out_warnings(own, self._root)
            if part == "train":
                warnings += tree.warnings or self._nested(own)
                warnings += unused_warnings(tree, self._root)
            if part != "test" and "test" in folders:
                warnings += shared_files(part, own.classes, folders["test"].classes, self._root)
        return replace(pool, warnings=warnings, passed=pool.passed + thumbnails_of(own))

    def value_ranges(self) -> ValueRanges:
        if self.value_range == "per_file":
            return PER_FILE
        if self.value_range != "auto":
            return given_ranges(self.value_range)
        with permitted():
            return file_ranges(
                {part: self._files(found) for part, found in self._tree().parts.items()}
            )

    def check_parts(self) -> tuple[str, ...]:
        folders = self._tree().parts
        with permitted():
            classes = {part: self._classes(found) for part, found in folders.items()}
            tests = files_of(classes.get("test", {}))
            if "test" in folders and not tests:
                raise InputError(
                    "data.root",
                    got=Text(f"no image in test ({folders['test'].classes})"),
                    expected="images, or no test folder: then test images are drawn from train",
                )
            of_class = {name: depths_of(files) for name, files in classes["train"].items()}
            of_part: dict[str, list[Depth]] = {
                part: list(chain(*of_class.values()))
                if part == "train"
                else depths_of(files_of(own))
                for part, own in classes.items()
            }
            if "test" in folders and self.value_range == "auto":
                require_scale(tests, of_part["test"], "test")
            warnings = depth_warnings(of_class, of_part)
            if "test" in folders:
                warnings += absent_classes(filled(classes["train"]), filled(classes["test"]))
            return warnings

    def some_files(self, most: int) -> list[Path]:
        """Return up to ``most`` files of training images, evenly spaced."""
        with permitted():
            files = self._files(self._tree().parts["train"])
        return files[:: -(-len(files) // most) or 1]

    def shorter_sides(self, most: int) -> list[int]:
        """Return the shorter sides in pixels of up to ``most`` training images."""
        return [min(size) for size, _ in sizes_and_modes(self.some_files(most))]

    def part_folder(self, part: Part) -> Path | None:
        """Return the folder of a part; None where it is drawn from train."""
        found = self._tree().parts.get(part)
        return found.named if found else None

    @property
    def _root(self) -> Path:
        return absolute(self.root)

    def _given(self) -> dict[Part, Path]:
        """Return the folders named by fields."""
        named: dict[Part, str | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {part: self._root / Path(name).expanduser() for part, name in named.items() if name}

    def _no_classes(self, part: PartFolder) -> frozenset[Path]:
        """Return the folders among a part's class folders that are not classes.

        A folder that holds a named part, however deep, is none either.
        """
        given = self._given().values()
        above = {folder for path in given for folder in path.parents}
        return frozenset((*given, *above, *part.left_out))

    def _nested(self, train: PartFolder) -> tuple[str, ...]:
        """Return a warning about folders inside classes, unless the user says what classes are."""
        if self._given().get("train") == self._root:
            return ()
        return nested_warnings(train.classes, self._classes(train), self._root)

    def _files(self, part: PartFolder) -> list[Path]:
        """Return the image files of all class folders of a part."""
        return files_of(self._classes(part))

    def _classes(self, part: PartFolder) -> dict[str, list[Path]]:
        return class_files(part.classes, without=self._no_classes(part))

    def _tree(self) -> Tree:
        with permitted():
            if self._root.is_dir():
                return given_tree(self._root, self._given())
            above = self._root.parent
            raise not_found(
                self.root,
                sub_folders(above) if above.is_dir() else [],
                expected="a directory with a folder of images for each class",
            )


@contextmanager
def permitted() -> Iterator[None]:
    """Raise InputError in place of OSError for a folder that cannot be read."""
    try:
        yield
    except OSError as error:
        met = Text(f"{error.filename} ({error.strerror})")
        raise InputError("data.root", got=met, expected="a directory that can be read") from None


def read_classes(
    folder: Path,
    root: Path,
    size: int,
    *,
    ranges: ValueRanges = PER_FILE,
    without: Collection[Path] = (),
    most_bytes: int = sys.maxsize,
) -> Pool:
    """Read all images of the class folders in ``folder``; messages give paths relative to ``root``.

    Args:
        folder: Folder of the class folders.
        root: Root of the data set.
        size: Height and width to scale the images to.
        ranges: Values that become 0 and 255.
        without: Folders in ``folder`` that are not classes.
        most_bytes: As ``cache_bytes``.

    Raises:
        InputError: There is no class folder.
    """
    passed: list[Path] = []
    if folder != root and root.is_dir():
        sub_folders(root, passed)
    of_class = class_files(folder, without=without, passed=passed)
    if not of_class:
        raise no_class_folders(folder, "data.root", root)
    classes = tuple(sorted(of_class))
    paths = [path for name in classes for path in of_class[name]]
    labels = np.repeat(np.arange(len(classes)), [len(of_class[name]) for name in classes])
    names = tuple(shown_path(path, root) for path in paths)
    images, reasons = decode_all(paths, size, ranges, most_bytes)
    skipped = tuple(f"{names[number]}: {reason}" for number, reason in sorted(reasons.items()))
    pool = Pool(
        images,
        labels.astype(np.int64),
        classes,
        skipped,
        names,
        warnings=class_warnings(folder, of_class, root),
        passed=names_of(passed),
        value_ranges=ranges,
    )
    if not reasons:
        return pool
    readable = [number for number in range(len(paths)) if number not in reasons]
    return pool.take(np.array(readable, dtype=np.int64))
