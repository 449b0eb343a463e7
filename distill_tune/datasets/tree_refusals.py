"""Folders that look like classes and are none: parts of the data, images beside their masks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from distill_tune.datasets.image_files import holds_images, images_in
from distill_tune.datasets.part_names import is_named_for_descriptions, is_named_for_images, role
from distill_tune.datasets.printable import printable
from distill_tune.datasets.walking import files_in, sub_folders
from distill_tune.errors import InputError, Text

_SHOWN = 5
_ALIKE = 0.9
"""Share of equal file names from which on folders hold pairs."""
_FEW_COLORS = 16
"""Of a mask, at most: a photograph has more."""
_DIGITS = re.compile(r"\d+")
_SUFFIX = re.compile(r"[-_. ]+(mask|seg|segmentation|gt|label|annotation)s?$", re.IGNORECASE)
_WAY_ON = "data.train, data.val and data.test name the folders of the parts"
_AS_THEY_ARE = "data.train: . takes these folders as classes all the same"


def refuse_flat_parts(level: Path, trains: Sequence[Path], flat: Sequence[Path]) -> None:
    """Refuse a train part that has images and no class folders.

    Args:
        level: The folder of the parts.
        trains: Such folders; none: nothing is refused.
        flat: All parts that are so.

    Raises:
        InputError: There is one.
    """
    if not trains:
        return
    said = f"{trains[0].name}/<class>/...: a folder of images for each class"
    starts = _first_words(trains[0])
    if starts:
        said += f" (the files' names begin with {', '.join(starts)}: one folder for each of these)"
    raise InputError(
        "data.root",
        got=Text(f"images and no class folders in {_names(flat)} (in {level})"),
        expected=f"{said}; {_AS_THEY_ARE}",
    )


def refuse_no_classes(level: Path, folders: Sequence[Path], known: Sequence[str] = ()) -> None:
    """Refuse folders that are parts, or images beside what describes them.

    Args:
        level: Where they stand.
        folders: That would be classes.
        known: Names of classes: where all folders have such, nothing is refused.

    Raises:
        InputError: They all hold folders of the same names, or files of the same names.
    """
    if len(folders) < 2 or {printable(path.name) for path in folders} <= set(known):
        return
    common = _common_folders(folders)
    if common:
        _refuse_same_folders(level, folders, common)
    described = _described(folders) or _paired(folders)
    if described:
        raise InputError(
            "data.root",
            got=Text(f"files of the same names in {_names(described)} (in {level})"),
            expected="folders of classes: these look like images beside what describes them, such "
            f"as masks; keep only the images, in a folder for each class ({_AS_THEY_ARE})",
        )


def _refuse_same_folders(level: Path, folders: Sequence[Path], common: Sequence[str]) -> None:
    each = f"{_names(folders)} in {level} that each hold the same folders: {_some(common)}"
    if any(map(is_named_for_images, common)) and any(map(is_named_for_descriptions, common)):
        looks = "images beside what describes them, such as masks; keep only the images"
    elif all(role(name) for name in common):
        looks = f"parts inside classes, or several data sets; {_WAY_ON}"
    else:
        looks = f"parts of the data, not classes; {_WAY_ON}"
    raise InputError(
        "data.root",
        got=Text(each),
        expected=f"folders of classes: these look like {looks} ({_AS_THEY_ARE})",
    )


def _common_folders(folders: Sequence[Path]) -> list[str]:
    """Return the names of sub-folders that all folders have; none unless there are two or more."""
    common: set[str] | None = None
    every: set[str] = set()
    num = 0
    for folder in folders:
        inner = {printable(path.name) for path in sub_folders(folder)}
        if not inner and not holds_images(folder):
            continue  # It has nothing to do with images.
        if not inner or images_in(folder):
            return []
        num += 1
        common = inner if common is None else common & inner
        every |= inner
        if len(common) < 2:
            return []
    if num < 2 or common is None or 2 * len(common) < len(every):
        return []
    filled = [
        name
        for name in sorted(common)
        if any(holds_images(path / name) for path in folders if (path / name).is_dir())
    ]
    return filled if len(filled) > 1 else []


def _described(folders: Sequence[Path]) -> list[Path]:
    """Return folders named for images and for what describes them, whose files have equal names."""
    describing = [path for path in folders if is_named_for_descriptions(path.name)]
    for images in (path for path in folders if path not in describing):
        for other in describing:
            named = is_named_for_images(images.name)
            if not named and not _holds_masks(other):
                continue
            if _share(_stems(images), _stems(other)) >= (0.5 if named else _ALIKE):
                return [images, other]
    return []


def _paired(folders: Sequence[Path]) -> list[Path]:
    """Return all folders, where their files have equal names that are more than numbers."""
    first = _stems(folders[0])
    kinds = {_DIGITS.sub("", stem) for stem in first}
    if len(first) < 4 or 2 * len(kinds) < len(first):
        return []  # Such as img_1, img_2: a class beside it may well count its images so, too.
    is_same = all(_share(first, _stems(path)) >= _ALIKE for path in folders[1:])
    return list(folders) if is_same else []


def _stems(folder: Path) -> set[str]:
    return {_SUFFIX.sub("", path.stem.casefold()) for path in files_in(folder)}


def _share(one: set[str], other: set[str]) -> float:
    """Return the share of equal names in the larger of two sets."""
    return len(one & other) / max(len(one), len(other), 1)


def _holds_masks(folder: Path) -> bool:
    """Tell whether the first images of a folder have few colours each, as masks do."""
    few = []
    for path in images_in(folder)[:3]:
        with suppress(Exception), Image.open(path) as image:
            few.append(image.size > (3, 3) and image.getcolors(_FEW_COLORS) is not None)
    return bool(few) and all(few)


def _first_words(folder: Path) -> list[str]:
    """Return what the names of a folder's images begin with, where that may be their classes."""
    counts: dict[str, int] = {}
    for path in images_in(folder):
        word = re.match(r"[^\W\d_]+", path.name)
        if word is None or word.end() == len(path.stem):
            return []
        counts[word[0]] = counts.get(word[0], 0) + 1
    return list(_shown(counts))


def _shown(counts: Mapping[str, int]) -> Iterator[str]:
    if 2 <= len(counts) <= 2 * _SHOWN and min(counts.values()) > 1:
        yield from sorted(counts)


def _names(paths: Sequence[Path]) -> str:
    return _some([printable(path.name) for path in paths])


def _some(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
