"""Folders with equal sub-folder names: common for parts, domains and pairs, rare for classes."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.part_names import is_named_for_images, role
from distill_tune.datasets.images.image_files import has_images, holds_images
from distill_tune.datasets.images.printable import printable

MOST_ALONE: Final = 4
"""Most single nested folders to follow: ``archive/seg_train/seg_train/<class>``."""

_COUNTED: Final = (
    "batch|cam|camera|case|chunk|clip|day|dir|disk|folder|frame|group|id|img|part|patient|person"
    "|piece|pose|round|run|scan|seq|sequence|series|session|set|shard|shot|slice|subject|take|user"
    "|vid|video|view|visit|vol|volume|week"
)
_SIDES: Final = (
    "left|right|front|back|rear|top|bottom|side|upper|lower|frontal|lateral|profile|up|down"
)
_VIEW: Final = "(view|side|eye|hand|cam|camera)s?"
_PIECE: Final = re.compile(
    rf"\d+|\d{{1,5}}[a-z]{{1,2}}|[abd-z]\d{{1,3}}|\d{{4}}([-_.]\d\d){{1,2}}"
    rf"|({_COUNTED})[-_ ]?\d+|({_SIDES})([-_ ]?{_VIEW})?|({_VIEW}[-_ ]?)({_SIDES})"
)
_FOLD: Final = re.compile(r"(cv|fold|k-?fold)s?[-_ ]?\d+", re.IGNORECASE)


def same_folders(folders: Sequence[Path]) -> list[str]:
    """Return the names of sub-folders that all folders with images share, at least two.

    The sub-folders are searched for directly in the folders, then below a single folder, or one
    named for images: ``amazon/images/<class>``.
    """
    return _common(folders, folders) or _common(folders, map(stepped, folders))


def stepped(folder: Path) -> Path:
    """Return the folder reached by following single folders, or those named for images."""
    level = folder
    for _ in range(MOST_ALONE):
        if has_images(level):
            break
        inner = sub_folders(level)
        if len(inner) > 1:
            inner = [path for path in inner if is_named_for_images(path.name)]
        if len(inner) != 1:
            break
        level = inner[0]
    return level


def are_pieces(names: Sequence[str], folders: Sequence[Path]) -> bool:
    """Return whether sub-folders of the same names divide classes by number, year, person or side.

    Args:
        names: Names of the sub-folders.
        folders: Folders that have them; those named like parts of the data are not classes.
    """
    if any(role(path.name) or _FOLD.fullmatch(path.name) for path in folders):
        return False
    return all(_PIECE.fullmatch(name.casefold()) for name in names)


def _common(folders: Sequence[Path], levels: Iterable[Path]) -> list[str]:
    """Return the names of sub-folders that all levels share; empty for fewer than two."""
    common: set[str] | None = None
    every: set[str] = set()
    used: list[Path] = []
    for folder, level in zip(folders, levels, strict=True):
        if has_images(level):
            return []
        if not holds_images(folder):
            continue  # It holds no images.
        inner = {printable(path.name) for path in sub_folders(level)}
        used.append(level)
        common = inner if common is None else common & inner
        every |= inner
        if len(common) < 2:
            return []
    if len(used) < 2 or common is None or 2 * len(common) < len(every):
        return []
    filled = [
        name
        for name in sorted(common)
        if any(holds_images(level / name) for level in used if (level / name).is_dir())
    ]
    return filled if len(filled) > 1 else []
