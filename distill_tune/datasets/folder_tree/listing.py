"""Sub-folders and files in a fixed order, without those that systems make for themselves."""

import re
from collections.abc import Iterator
from pathlib import Path

from distill_tune.datasets.folder_tree.part_names import (
    is_named_for_thumbnails,
    is_of_a_system,
    may_be_of_a_system,
)
from distill_tune.datasets.images.printable import printable

_SMALL = re.compile(r"[-_. ]*(thumb(nail)?s?|small|tn)[-_. ]*")


def sub_folders(folder: Path, passed: list[Path] | None = None) -> list[Path]:
    """Return the folders in ``folder``, without links to itself or a folder above it.

    Folders of systems and tools, and names with two leading underscores, are passed over.

    Args:
        folder: Folder to search.
        passed: Extended with the paths that were passed over.
    """
    above = _identities(folder)
    found = [
        path for path in _entries(folder, passed) if path.is_dir() and _identity(path) not in above
    ]
    for path in found:
        if path.name.startswith("__") and passed is not None:
            passed.append(path)
    return [path for path in found if not path.name.startswith("__")]


def files_in(folder: Path) -> list[Path]:
    """Return the visible files directly in a folder, in an order fixed by the names."""
    return [path for path in _entries(folder, None) if not path.is_dir()]


def files_below(folder: Path, passed: list[Path] | None = None) -> Iterator[Path]:
    """Yield every file below ``folder``, in an order fixed by the names.

    Links are followed; each folder is entered once. Files and folders of systems and tools, and
    folders of thumbnails of the images beside them, are passed over.

    Args:
        folder: Folder to search.
        passed: Extended with the paths that were passed over.
    """
    entered = _identities(folder)
    # Not recursive: folders may nest deeper than function calls.
    waiting = [iter(_entries(folder, passed))]
    while waiting:
        path = next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif not path.is_dir():
            yield path
        elif _holds_thumbnails(path):
            if passed is not None:
                passed.append(path)
        elif _identity(path) not in entered:
            entered.add(_identity(path))
            waiting.append(iter(_entries(path, passed)))


def stem_of_thumbnail(name: str) -> str:
    """Return the name of an image in lower case, without the affixes of thumbnails."""
    return _SMALL.sub("", name.casefold().partition(".")[0])


def _entries(folder: Path, passed: list[Path] | None) -> list[Path]:
    """Return the visible entries of a folder, sorted by name."""
    visible: list[Path] = []
    hidden: list[Path] = []
    for path in folder.iterdir():
        (hidden if is_of_a_system(path.name) else visible).append(path)
    probably = _probably_hidden(visible)
    if passed is not None:
        passed += [*hidden, *probably]
    seen = [path for path in visible if path not in probably]
    return sorted(seen, key=lambda path: printable(path.name))


def _probably_hidden(entries: list[Path]) -> list[Path]:
    """Return the folders that a system probably made, judging by the names beside them."""
    if len(entries) < 2 or not any(may_be_of_a_system(path.name, ()) for path in entries):
        return []
    folders = [path for path in entries if path.is_dir()]
    names = [path.name for path in folders]
    return [
        path
        for path in folders
        if may_be_of_a_system(path.name, [name for name in names if name != path.name])
    ]


def _holds_thumbnails(folder: Path) -> bool:
    """Return whether a folder named for thumbnails holds only namesakes of what lies beside it."""
    if not is_named_for_thumbnails(folder.name):
        return False
    names = [path.name for path in _entries(folder, None)]
    beside = [path for path in _entries(folder.parent, None) if path != folder]
    above = {stem_of_thumbnail(path.name) for path in beside}
    return all(stem_of_thumbnail(name) in above for name in names)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _identities(folder: Path) -> set[tuple[int, int]]:
    """Return the identities of ``folder`` and those above it, as named and with links resolved."""
    named, real = folder.absolute(), folder.resolve()
    return {_identity(path) for path in (named, *named.parents, real, *real.parents)}
