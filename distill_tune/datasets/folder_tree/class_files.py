"""The image files of class folders."""

from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path

from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.images.image_files import image_paths
from distill_tune.datasets.images.printable import printable


def class_files(
    folder: Path, *, without: Collection[Path] = (), passed: list[Path] | None = None
) -> dict[str, list[Path]]:
    """Return the image files of every class folder in ``folder``, by class name.

    Args:
        folder: Folder of the class folders.
        without: Folders in ``folder`` that are not classes.
        passed: Extended with the paths that were passed over.
    """
    of_class: dict[str, list[Path]] = {}
    for path in sub_folders(folder, passed):
        if path not in without:
            of_class.setdefault(printable(path.name), []).extend(image_paths(path, passed))
    return of_class


def files_of(of_class: Mapping[str, list[Path]]) -> list[Path]:
    """Return the files of all classes."""
    return list(chain(*of_class.values()))


def filled(of_class: Mapping[str, list[Path]]) -> list[str]:
    """Return the names of the classes that have files."""
    return [name for name, files in of_class.items() if files]
