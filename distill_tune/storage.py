"""Where a study's files lie: a folder on this machine, or an object store behind a URI."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from distill_tune.errors import DiskFullError, InputError, StudyError, is_disk_full

# Ray resolves these with pyarrow; resolved otherwise, we could write to another place than Ray.
_PYARROW_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})


class Storage(Protocol):
    """Files under one root, named by relative paths with forward slashes."""

    is_local: bool

    def path(self, name: str) -> str:
        """Return the absolute path, or the URI, of a name; of the root for ``""``."""

    def make(self) -> None:
        """Make the root folder where folders are made at all."""

    def exists(self, name: str) -> bool:
        """Tell whether there is a file (for ``""``, a folder) of that name."""

    def obstacle(self) -> str:
        """Return what keeps files from being written under the root, else an empty text."""

    def link_target(self) -> str:
        """Return where the root leads if it is a symbolic link, else an empty text."""

    def read(self, name: str) -> bytes:
        """Return a file's content; StudyError when it cannot be read."""

    def write(self, name: str, content: bytes) -> None:
        """Replace a file as a whole: a reader sees the old content or the new, never a part."""

    def append(self, name: str, line: bytes) -> None:
        """Add one line (without its newline) to a log, repairing a line torn by a kill."""

    def names(self) -> list[str]:
        """Return the names of the files that lie directly under the root, sorted."""

    def size(self) -> int:
        """Return the bytes of all files under the root."""


def storage_at(root: str) -> Storage:
    """Return the storage for a path, a ``file://`` URI or any URI that pyarrow or fsspec know.

    Raises:
        InputError: The URI's scheme is unknown, or its library is not installed.
    """
    scheme = urlsplit(root).scheme if "://" in root else ""
    if scheme in {"", "file"}:
        return LocalFiles(unquote(urlsplit(root).path) if scheme else root)
    return ObjectStore(root)


def whole_lines(log: bytes) -> bytes:
    """Return a log without the line that a kill left unfinished, ending in a newline.

    A last line that lacks nothing but its newline is kept.
    """
    end = log.rfind(b"\n") + 1
    tail = log[end:]
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(tail), dict):
            return log + b"\n"
    return log[:end]


class LocalFiles:
    """A folder on this machine; what is appended or written has reached the disk on return."""

    is_local = True

    def __init__(self, root: str) -> None:
        try:
            self._root = Path(root).expanduser().absolute()
        except RuntimeError:
            expected = "a user that this machine knows after the '~'"
            raise InputError("study directory", got=root, expected=expected) from None

    def path(self, name: str) -> str:
        return str(self._root / name)

    def make(self) -> None:
        with _explained(self.path("")):
            self._root.mkdir(parents=True, exist_ok=True)

    def exists(self, name: str) -> bool:
        with _explained(self.path(name)):
            return (self._root / name).exists()

    def obstacle(self) -> str:
        with _explained(self.path("")):
            place = next(path for path in (self._root, *self._root.parents) if path.exists())
            if not place.is_dir():
                return f"got {place}, which is no folder"
            return "" if os.access(place, os.W_OK) else f"got {place}, which is write-protected"

    def link_target(self) -> str:
        with _explained(self.path("")):
            return str(self._root.readlink()) if self._root.is_symlink() else ""

    def read(self, name: str) -> bytes:
        with _explained(self.path(name)):
            return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        target = self._root / name
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with _explained(self.path(name)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def append(self, name: str, line: bytes) -> None:
        target = self._root / name
        with _explained(self.path(name)):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a+b") as file:
                _repair(file)
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def names(self) -> list[str]:
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if path.is_file())

    def size(self) -> int:
        total = 0
        for folder, _, names in os.walk(self._root):
            for name in names:
                # A running search deletes old checkpoints while we count.
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
        return total


def _repair(file: Any) -> None:
    """Cut or complete the last line of an open log, so that the next one starts afresh."""
    length = file.seek(0, os.SEEK_END)
    if length == 0:
        return
    file.seek(length - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    whole = whole_lines(file.read())
    if len(whole) < length:
        file.truncate(len(whole))
    else:
        file.write(b"\n")


class ObjectStore:
    """Objects behind a URI, read and written whole: an append rewrites its log."""

    is_local = False

    def __init__(self, root: str) -> None:
        base, mark, query = root.partition("?")
        self._base, self._query = base.rstrip("/"), mark + query
        self._files, self._folder = _filesystem(root)
        self._logs: dict[str, bytes] = {}

    def path(self, name: str) -> str:
        return (f"{self._base}/{name}" if name else self._base) + self._query

    def make(self) -> None:
        with _explained(self.path("")):
            self._files.makedirs(self._folder, exist_ok=True)

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if name else self._folder

    def obstacle(self) -> str:
        return ""

    def link_target(self) -> str:
        return ""

    def exists(self, name: str) -> bool:
        with _explained(self.path(name)):
            return bool(self._files.exists(self._key(name)))

    def read(self, name: str) -> bytes:
        with _explained(self.path(name)), self._files.open(self._key(name), "rb") as file:
            content: bytes = file.read()
            return content

    def write(self, name: str, content: bytes) -> None:
        key = self._key(name)
        with _explained(self.path(name)):
            if "/" in name:
                self._files.makedirs(key.rpartition("/")[0], exist_ok=True)
            with self._files.open(key, "wb") as file:
                file.write(content)

    def append(self, name: str, line: bytes) -> None:
        if name not in self._logs:
            self._logs[name] = whole_lines(self.read(name)) if self.exists(name) else b""
        log = self._logs[name] + line + b"\n"
        self.write(name, log)
        self._logs[name] = log

    def names(self) -> list[str]:
        if not self.exists(""):
            return []
        with _explained(self.path("")):
            found = self._files.ls(self._folder, detail=True)
        return sorted(e["name"].rpartition("/")[2] for e in found if e["type"] == "file")

    def size(self) -> int:
        with _explained(self.path("")):
            return int(self._files.du(self._folder)) if self.exists("") else 0


def _filesystem(root: str) -> tuple[Any, str]:
    """Return an fsspec filesystem and the root's path in it."""
    scheme = urlsplit(root).scheme
    try:
        if scheme in _PYARROW_SCHEMES:
            from fsspec.implementations.arrow import ArrowFSWrapper
            from pyarrow import fs

            files, folder = fs.FileSystem.from_uri(root)
            return ArrowFSWrapper(files), folder.rstrip("/")
        from fsspec.core import url_to_fs

        files, folder = url_to_fs(root)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(
            "study directory", got=root, expected=f"a path or a reachable URI ({error})"
        ) from error
    return files, folder.rstrip("/")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn the system's refusal into a message with the path: full disk, no permission."""
    try:
        yield
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file or folder") from error
    except OSError as error:
        kind = DiskFullError if is_disk_full(error) else StudyError
        raise kind(f"{path}: {error.strerror or error}") from error
