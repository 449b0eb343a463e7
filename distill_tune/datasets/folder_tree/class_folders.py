"""Folders beside class folders that are not classes: copies, descriptions and thumbnails."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from PIL import Image

from distill_tune.datasets.folder_tree.listing import files_below, stem_of_thumbnail, sub_folders
from distill_tune.datasets.folder_tree.part_names import (
    are_numbered,
    is_named_for_descriptions,
    is_named_for_thumbnails,
)
from distill_tune.datasets.folder_tree.same_folders import stepped
from distill_tune.datasets.images.image_files import has_images, holds_images
from distill_tune.datasets.images.printable import printable

COUNTED: Final = ""
"""The reason for folders that are only counted by name among those passed over."""
_COMPARED: Final = 3
_LISTS: Final = frozenset({"imagesets", "image_sets", "metadata", "meta"})


def left_out(folders: Sequence[Path]) -> dict[Path, str]:
    """Return the folders that are not classes, and why; a folder that could be both is a class.

    Args:
        folders: Sibling folders.
    """
    found: dict[Path, str] = {}
    names = by_name(folders)
    for folder in folders if len(folders) > 1 else ():
        if _describes(folder):
            found[folder] = "it holds no images, and its name says that it describes other images"
        elif is_named_for_thumbnails(folder.name) and _are_thumbnails(
            folder, [path for path in folders if path != folder and path not in found]
        ):
            found[folder] = COUNTED
        elif (copied := copied_folders(folder, names)) and _is_copy(folder, copied):
            found[folder] = f"a copy of {len(copied)} folders beside it, judging by file names"
    return found


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Return folders by name, in the form that :func:`copied_folders` compares."""
    return {printable(path.name).casefold(): path for path in folders}


def copied_folders(folder: Path, beside: Mapping[str, Path]) -> dict[Path, Path]:
    """Return the sub-folders that have the names of siblings of the folder.

    Single nested folders are followed first.

    Args:
        folder: Folder that may be a copy of the set inside the set.
        beside: The folder and its siblings, by name.

    Returns:
        The sub-folders and their namesakes; empty for fewer than two.
    """
    level = stepped(folder)
    if has_images(level):
        return {}
    inner = by_name(sub_folders(level))
    found = {path: beside[name] for name, path in inner.items() if name in beside}
    found = {path: namesake for path, namesake in found.items() if namesake != folder}
    return found if len(found) > 1 else {}


def _is_copy(folder: Path, copied: Mapping[Path, Path]) -> bool:
    """Return whether a folder has nothing new: every file has a namesake."""
    new = [path for path in sub_folders(stepped(folder)) if path not in copied]
    return not any(map(holds_images, new)) and all(
        _names(inner) <= _names(namesake) for inner, namesake in copied.items()
    )


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix().casefold() for path in files_below(folder)}


def _describes(folder: Path) -> bool:
    named = is_named_for_descriptions(folder.name) or folder.name.casefold() in _LISTS
    return named and not holds_images(folder)


def _are_thumbnails(folder: Path, others: Sequence[Path]) -> bool:
    """Return whether a folder named for thumbnails holds small copies of the others' images.

    If names are just numbers, which another class may share, its images must be smaller.
    """
    if len(others) < 2:
        return False
    above: dict[str, list[Path]] = {}
    for path in (path for other in others for path in files_below(other)):
        above.setdefault(stem_of_thumbnail(path.name), []).append(path)
    small = {path: stem_of_thumbnail(path.name) for path in files_below(folder)}
    if not small or not set(small.values()) <= above.keys():
        return False
    if folder.name.casefold() not in {"thumb", "thumbs"} or not are_numbered(small.values()):
        return True
    return all(
        _width(path) < min(map(_width, above[stem]))
        for path, stem in islice(small.items(), _COMPARED)
    )


def _width(path: Path) -> int:
    with suppress(Exception), Image.open(path) as image:
        return image.width
    return 0
