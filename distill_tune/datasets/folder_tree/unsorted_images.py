"""Images that are not sorted into a folder for each class: what shows their classes instead."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from distill_tune.datasets.folder_tree.listing import files_in
from distill_tune.datasets.images.image_files import images_in
from distill_tune.datasets.images.printable import printable
from distill_tune.errors import InputError, Text

_MOST_WORDS: Final = 10
_TABLES: Final = frozenset({".csv", ".json", ".jsonl", ".parquet", ".tsv", ".xls", ".xlsx"})


def sorting_advice(images: Path, *around: Path) -> str:
    """Return in brackets what shows the classes of images in one folder; may be empty.

    Args:
        images: The folder of the images.
        around: Folders in which a table of labels may lie, beside that of the images.
    """
    if starts := _first_words(images):
        return f" (the files' names begin with {', '.join(starts)}: one folder for each of these)"
    for folder in (images, *around):
        for path in files_in(folder):
            if path.suffix.lower() in _TABLES:
                return (
                    f" (labels in a table such as {printable(path.name)} are not read: copy the "
                    "files into a folder for each label)"
                )
    return ""


def no_class_folders(folder: Path, where: str, root: Path) -> InputError:
    """Return the error for a folder without class folders.

    Args:
        folder: The folder.
        where: The field that names it.
        root: Root of the data set.
    """
    advice = sorting_advice(folder, root)
    return InputError(
        where,
        got=Text(f"{folder} without sub-folders"),
        expected=f"a folder of images for each class{advice}",
    )


def one_class(folder: Path, name: str, root: Path) -> InputError:
    """Return the error for a data set of one class.

    Args:
        folder: Folder of the class folder.
        name: Name of the class.
        root: Root of the data set.
    """
    own = [path for path in folder.iterdir() if printable(path.name) == name]
    advice = sorting_advice(*own, folder, root)
    got = Text(f"one class only: {name!r}")
    return InputError("data.root", got=got, expected=f"two classes or more{advice}")


def _first_words(folder: Path) -> list[str]:
    """Return the first words of a folder's image names, if these may be classes."""
    counts: dict[str, int] = {}
    for path in images_in(folder):
        word = re.match(r"[^\W\d_]+", path.name)
        if word is None or word.end() == len(path.stem):
            return []
        counts[word[0]] = counts.get(word[0], 0) + 1
    return list(_shown(counts))


def _shown(counts: Mapping[str, int]) -> Iterator[str]:
    if 2 <= len(counts) <= _MOST_WORDS and min(counts.values()) > 1:
        yield from sorted(counts)
