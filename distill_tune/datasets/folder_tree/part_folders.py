"""Folders of parts, and the path from each to its class folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distill_tune.datasets.folder_tree.class_folders import left_out
from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.part_names import Part, is_named_for_images, role
from distill_tune.datasets.folder_tree.same_folders import MOST_ALONE
from distill_tune.datasets.images.image_files import has_images
from distill_tune.datasets.images.printable import printable


@dataclass(frozen=True)
class PartFolder:
    """The location of the images of a part.

    Attributes:
        named: The folder that has the part's name, or the root itself.
        classes: The folder of its class folders: ``named``, or one below it.
        left_out: Folders in ``classes``, or on the way there, that are not classes, each with the
            reason: ``COUNTED``, or words.
    """

    named: Path
    classes: Path
    left_out: Mapping[Path, str] = field(default_factory=dict)

    def class_folders(self) -> list[Path]:
        """Return the folders of its classes, sorted by name."""
        return [path for path in sub_folders(self.classes) if path not in self.left_out]


@dataclass(frozen=True)
class Tree:
    """The parts found in a folder.

    Attributes:
        parts: Parts by name, at least ``train``.
        unused: Folders of images that belong to no part, for warnings.
        warnings: Further warnings for the user.
    """

    parts: dict[Part, PartFolder]
    unused: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def part_folder(folder: Path, known: Sequence[str] = (), *, is_given: bool = False) -> PartFolder:
    """Return a part's folder with the folder below it that holds the class folders.

    Args:
        folder: Folder of the part.
        known: Known class names: the descent stops at them, and they are never left out.
        is_given: Whether a field names the folder; then every folder in it is a class.
    """
    level = folder
    omitted: dict[Path, str] = {}
    for _ in range(MOST_ALONE):
        here = sub_folders(level)
        left = {} if is_given else left_out(here)
        left = {path: why for path, why in left.items() if printable(path.name) not in known}
        inner = [path for path in here if path not in left]
        omitted |= left
        if len(inner) != 1 or printable(inner[0].name) in known:
            break
        if not holds_only_folders(inner[0]):
            break
        level = inner[0]
    return PartFolder(folder, level, omitted)


def holds_only_folders(folder: Path) -> bool:
    """Return whether a folder contains folders but no image directly."""
    return bool(sub_folders(folder)) and not has_images(folder)


def holds_class_folders(part: PartFolder) -> bool:
    """Return whether a part has class folders, rather than all images in one folder."""
    inner = sub_folders(part.classes)
    if len(inner) == 1 and (role(inner[0].name) or is_named_for_images(inner[0].name)):
        return False  # Such as train/train/*.jpg, or val/images/*.jpg.
    return bool(inner)
