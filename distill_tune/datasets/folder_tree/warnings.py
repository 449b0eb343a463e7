"""Warnings about a folder's tree: folders that are not used, or used although unusual."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from distill_tune.datasets.folder_tree.class_folders import COUNTED
from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.part_folders import PartFolder, Tree
from distill_tune.datasets.folder_tree.part_names import is_named_for_thumbnails, role
from distill_tune.datasets.images.image_files import images_in
from distill_tune.datasets.images.printable import counted, printable
from distill_tune.errors import abridged

_MASK = re.compile(r"(.+?)[-_. ]+(mask|seg|segmentation|gt)(?:[-_ ]?\d+)?", re.IGNORECASE)
_SHOWN: Final = 4

_HARDLY_A_CLASS: Final = {
    **dict.fromkeys(("test", "tests", "testing", "eval", "evaluation", "holdout"), "test on"),
    **dict.fromkeys(("val", "validation", "dev"), "validate on"),
    "training": "train on",
}


def shown_path(path: Path, root: Path) -> str:
    """Return a path as shown to users: relative to the root if it lies below it."""
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return "" if path == root else printable(shown.as_posix())


def names_of(passed: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of paths that were passed over, as shown to users."""
    return tuple(
        "hidden names" if path.name.startswith(".") else printable(path.name) for path in passed
    )


def left_out_warnings(part: PartFolder, root: Path) -> tuple[str, ...]:
    """Return a warning for each folder left out among a part's class folders, thumbnails aside."""
    return tuple(
        f"{shown_path(path, root)} is not used: {why}"
        for path, why in part.left_out.items()
        if why != COUNTED
    )


def thumbnails_of(part: PartFolder) -> tuple[str, ...]:
    """Return the names of thumbnail folders among class folders, as shown to users."""
    return names_of(path for path, why in part.left_out.items() if why == COUNTED)


def unused_warnings(tree: Tree, root: Path) -> tuple[str, ...]:
    """Return a warning for each folder of images that no part of the data set uses."""
    return tuple(
        f"{shown_path(path, root)} is not used: {_why(path)}; data.{_field(path)} can name it"
        for path in tree.unused
    )


def _why(path: Path) -> str:
    if sub_folders(path):
        return "a folder beside the parts"
    return f"{len(images_in(path))} images without class folders beside the parts"


def _field(path: Path) -> str:
    named = role(path.name)
    return named if named in {"val", "test"} else "test"


def class_warnings(
    folder: Path, of_class: Mapping[str, Sequence[Path]], root: Path
) -> tuple[str, ...]:
    """Return warnings about what may be unintended in a folder of class folders.

    Args:
        folder: Folder of the class folders.
        of_class: Images of each class.
        root: Root of the data set.
    """
    warnings: list[str] = []
    beside = images_in(folder)
    if beside:
        shown = counted(len(beside), "image", "beside the class folders")
        warnings.append(f"{shown} not used, such as {shown_path(beside[0], root)}")
    warnings += [
        f"{name} is taken as a class, although images to {purpose} are often kept in a folder "
        "of this name: if so, move it elsewhere"
        for name in of_class
        if (purpose := _HARDLY_A_CLASS.get(name.casefold()))
    ]
    warnings += [
        f"{name} is taken as a class, although small copies of images are often kept in a folder "
        "of this name"
        for name in of_class
        if is_named_for_thumbnails(name)
    ]
    masks = [path for paths in of_class.values() for path in _masks(paths)]
    if masks:
        shown = f"{counted(len(masks), 'file')} used although named like the mask of another image"
        warnings.append(f"{shown}, such as {shown_path(masks[0], root)}")
    return tuple(warnings)


def nested_warnings(
    folder: Path, of_class: Mapping[str, Sequence[Path]], root: Path
) -> tuple[str, ...]:
    """Return a warning about folders inside classes, whose images are taken together.

    Args:
        folder: Folder of the class folders.
        of_class: Images of each class.
        root: Root of the data set.
    """
    inner: list[str] = []
    for paths in of_class.values():
        parts = [path.relative_to(folder).parts for path in paths]
        below = sorted({folder.joinpath(*names[:2]) for names in parts if len(names) > 2})
        # The images of a class may well lie in a single folder, such as ``ant/images``.
        if len(below) > 1 or (below and any(len(names) == 2 for names in parts)):
            inner += [shown_path(path, root) for path in below]
    if not inner:
        return ()
    noun = "is a folder" if len(inner) == 1 else "are folders"
    meant = "; data.train: . says that this is meant" if folder == root else ""
    warning = (
        f"{abridged(inner, _SHOWN)} {noun} inside a class, whose images are taken together: to "
        f"have such folders as classes, move them side by side into one folder{meant}"
    )
    return (warning,)


def _masks(paths: Sequence[Path]) -> list[Path]:
    names = {(path.parent, path.stem) for path in paths}
    found = ((path, _MASK.fullmatch(path.stem)) for path in paths)
    return [path for path, match in found if match and (path.parent, match[1]) in names]
