"""Folders that look like classes but are not: parts of the data, or images beside masks."""

from collections.abc import Sequence
from pathlib import Path

from distill_tune.datasets.folder_tree.class_folders import by_name, copied_folders, left_out
from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.masks_and_annotations import (
    described,
    masks_beside_images,
    paired,
)
from distill_tune.datasets.folder_tree.part_names import (
    is_named_for_descriptions,
    is_named_for_images,
    role,
)
from distill_tune.datasets.folder_tree.same_folders import are_pieces, same_folders
from distill_tune.datasets.folder_tree.unsorted_images import sorting_advice
from distill_tune.datasets.images.printable import printable
from distill_tune.errors import InputError, Text, abridged

_SHOWN = 5
_PART_FIELDS = "data.train, data.val and data.test name the folders of the parts"
_AS_THEY_ARE = "data.train: . takes these folders as classes all the same"


def refuse_flat_parts(level: Path, trains: Sequence[Path], flat: Sequence[Path]) -> None:
    """Refuse a train part that has images but no class folders.

    Args:
        level: The folder of the parts.
        trains: Such train folders; if there are none, nothing is refused.
        flat: All parts without class folders.

    Raises:
        InputError: ``trains`` is not empty.
    """
    if not trains:
        return
    advice = f"{trains[0].name}/<class>/...: a folder of images for each class"
    advice += sorting_advice(trains[0], level)
    raise InputError(
        "data.root",
        got=Text(f"images and no class folders in {_names(flat)} (in {level})"),
        expected=f"{advice}; {_AS_THEY_ARE}",
    )


def refuse_parts_below(
    level: Path, found: Path, parts: Sequence[Path], others: Sequence[Path]
) -> None:
    """Refuse folders if one holds parts and the others would be left out.

    Args:
        level: Folder that contains these folders.
        found: Folder that contains the parts.
        parts: Folders of the parts.
        others: Folders beside them that have images.

    Raises:
        InputError: Always.
    """
    raise InputError(
        "data.root",
        got=Text(f"{_names(parts)} in {found} beside {_names(others)} (in {level})"),
        expected="either folders of classes, or of parts (data.train: . takes the folders in "
        f"{printable(level.name)} as classes all the same, data.root: {found} reads the parts)",
    )


def refuse_no_classes(
    level: Path, folders: Sequence[Path], known: Sequence[str] = ()
) -> tuple[str, ...]:
    """Refuse folders that are parts, or images beside descriptions of them.

    Args:
        level: Folder that contains them.
        folders: Folders that would be classes.
        known: Known class names; if all folders have such names, nothing is refused.

    Returns:
        Warnings for the user.

    Raises:
        InputError: All hold folders of the same names or files of the same names, or one holds
            folders with the names of those beside it.
    """
    if len(folders) < 2 or {printable(path.name) for path in folders} <= set(known):
        return ()
    common = same_folders(folders)
    is_divided = are_pieces(common, folders)
    if common and not is_divided:
        _refuse_same_folders(level, folders, common)
    _refuse_descriptions(level, folders)
    _refuse_another_set(level, folders)
    return (_divided(folders, common),) if common else ()


def _divided(folders: Sequence[Path], common: Sequence[str]) -> str:
    return (
        f"{_names(folders)} are taken as classes, although each holds the same folders "
        f"({_some(common)}), whose images are taken together: if these are the classes, data.train "
        f"names the folder of one part, such as {printable(folders[0].name)}"
    )


def _refuse_descriptions(level: Path, folders: Sequence[Path]) -> None:
    met = "these look like images beside masks or other descriptions of them"
    way = f"keep only the images, in a folder for each class ({_AS_THEY_ARE})"
    pair = described(folders) or paired(folders)
    if pair:
        raise InputError(
            "data.root",
            got=Text(f"files of the same names in {_names(pair)} (in {level})"),
            expected=f"folders of classes: {met}; {way}",
        )
    masks = masks_beside_images(folders)
    if masks:
        if len(sub_folders(masks[0])) > 1:
            way = f"keep only the images ({_AS_THEY_ARE}; data.root: {masks[0]} reads one folder)"
        raise InputError(
            "data.root",
            got=Text(
                f"images of few colours in {_names(masks[1:])}, beside {_names(masks[:1])} "
                f"(in {level})"
            ),
            expected=f"folders of classes: {met}; {way}",
        )


def _refuse_another_set(level: Path, folders: Sequence[Path]) -> None:
    """Refuse a folder that is no copy of its siblings but has sub-folders of their names."""
    names = by_name(folders)
    for folder in folders:
        inner = list(copied_folders(folder, names))
        called = [printable(path.name) for path in inner]
        if inner and not are_pieces(called, folders) and folder not in left_out(folders):
            raise InputError(
                "data.root",
                got=Text(
                    f"{_some(called)} in {inner[0].parent}, and folders of these names in "
                    f"{level} too, with other files"
                ),
                expected="one folder for each class: these look like two data sets, or two parts "
                f"of one ({_AS_THEY_ARE}; data.root: {inner[0].parent} reads the inner one)",
            )


def _refuse_same_folders(level: Path, folders: Sequence[Path], common: Sequence[str]) -> None:
    each = f"{_names(folders)} in {level} that each hold the same folders: {_some(common)}"
    if any(map(is_named_for_images, common)) and any(map(is_named_for_descriptions, common)):
        met = f"images beside masks or other descriptions of them; {_AS_THEY_ARE}"
    elif all(role(name) for name in common):
        met = f"parts inside classes, or several data sets; {_AS_THEY_ARE}; {_PART_FIELDS}"
    else:
        met = f"parts of the data, not classes; {_AS_THEY_ARE}; {_PART_FIELDS}"
    expected = f"folders of classes: these look like {met}"
    raise InputError("data.root", got=Text(each), expected=expected)


def _names(paths: Sequence[Path]) -> str:
    return _some([printable(path.name) for path in paths])


def _some(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return abridged(names, _SHOWN)
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
