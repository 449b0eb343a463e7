"""Storage of a study's files: a folder on this machine, or an object store behind a URI."""

import os
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from distill_tune.errors import InputError, Parameter
from distill_tune.records.files.local_files import LocalFiles
from distill_tune.records.files.object_store import ObjectStore


class Storage(Protocol):
    """Files under one root, named by relative paths with forward slashes."""

    is_local: bool

    def path(self, name: str) -> str:
        """Return the absolute path, or the URI, of a name; of the root for ``""``."""

    def make(self) -> None:
        """Create the root folder, if the storage has folders."""

    def exists(self, name: str) -> bool:
        """Return whether there is a file (for ``""``, a folder) of that name."""

    def obstacle(self) -> str:
        """Return the reason why files cannot be written under the root; empty if they can."""

    def link_target(self) -> str:
        """Return the target of the root if it is a symbolic link; otherwise an empty text."""

    def read(self, name: str) -> bytes:
        """Return a file's content; raise StudyError if it cannot be read."""

    def write(self, name: str, content: bytes) -> None:
        """Replace a file atomically: a reader sees the old content or the new, never a part.

        Raises:
            StorageError: The root was there, and is gone.
            StudyError: The file cannot be written.
        """

    def append(self, name: str, line: bytes) -> None:
        """Append one line (without its newline) to a log, repairing a line torn by a kill.

        Raises:
            StorageError: The root was there, and is gone.
            StudyError: The line cannot be written.
        """

    def names(self) -> list[str]:
        """Return the names of the files directly under the root, sorted."""

    def folders(self, pattern: str) -> list[str]:
        """Return the names of the folders that match, sorted; ``*`` stands for a part of a name."""

    def remove(self, name: str) -> None:
        """Delete a folder with everything in it; what cannot be deleted stays."""

    def size(self) -> int:
        """Return the total size in bytes of all files under the root."""


def storage_at(root: str) -> Storage:
    """Return the storage for a path, a ``file://`` URI or any URI that pyarrow or fsspec supports.

    Raises:
        InputError: The URI's scheme is unknown, or its library is not installed.
    """
    scheme = urlsplit(root).scheme if "://" in root else ""
    if scheme in {"", "file"}:
        return LocalFiles(unquote(urlsplit(root).path) if scheme else root)
    return ObjectStore(root)


def path_text(where: str, given: object) -> str:
    """Return a path or URI that a caller from Python gave for the parameter ``where``.

    Raises:
        InputError: It is neither text nor an ``os.PathLike`` that stands for text.
    """
    found = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(found, str):
        raise InputError(Parameter(where), got=given, expected="a path or URI")
    return found


def joined(root: str, name: str) -> str:
    """Return the path or the URI of a name below a root; a URI's query stays at its end."""
    if "://" not in root:
        return f"{root.rstrip('/')}/{name}"
    base, mark, query = root.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def split_last(root: str) -> tuple[str, str]:
    """Return the folder that a path or URI is in, and its name there.

    A path becomes absolute; a URI's query stays with the folder. A bucket is in no folder: it is
    returned as it is, with an empty name.
    """
    if "://" not in root:
        path = Path(root).expanduser().absolute()
        return str(path.parent), path.name
    base, mark, query = root.partition("?")
    folder, _, name = base.rstrip("/").rpartition("/")
    return (root, "") if folder.endswith(":/") else (f"{folder}{mark}{query}", name)
