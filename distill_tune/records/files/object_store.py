"""Objects behind a URI, always whole, in a store that may fail temporarily."""

import time
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any, TypeVar
from urllib.parse import urlsplit

from distill_tune.errors import InputError, StudyError, is_disk_full
from distill_tune.records.files.local_files import explained, whole_lines

# Ray resolves these with pyarrow; with another library we might write to a different place.
_PYARROW_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})
# Seconds between attempts; within each attempt the store's own library also retries.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
# Permanent errors, as pyarrow words them.
_FINAL = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")

_T = TypeVar("_T")


class ObjectStore:
    """Objects behind a URI, read and written whole: an append rewrites its log.

    Temporary failures (a busy or slow server, a lost connection) are retried for a quarter of a
    minute, in addition to the retries of the store's own library.
    """

    is_local = False

    def __init__(self, root: str) -> None:
        base, mark, query = root.partition("?")
        self._base, self._query = base.rstrip("/"), mark + query
        self._files, self._folder = filesystem_at(root)
        self._logs: dict[str, bytes] = {}
        self._made: set[str] = set()

    def path(self, name: str) -> str:
        return (f"{self._base}/{name}" if name else self._base) + self._query

    def make(self) -> None:
        self._make("", self._folder)

    def _make(self, name: str, folder: str) -> None:
        if folder not in self._made:
            self._patiently(name, lambda: self._files.makedirs(folder, exist_ok=True))
            self._made.add(folder)

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if name else self._folder

    def obstacle(self) -> str:
        # Only an attempt shows what credentials allow. Next to the root, which may be new.
        probe = f"{self._folder}.write-probe"
        try:
            self._patiently("", lambda: self._put(probe, b"distill-tune"))
        except StudyError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return f"got no bucket {self._folder.partition('/')[0]!r}"
            return f"got {str(error).removeprefix(self.path('')).lstrip(': ')}"
        with suppress(OSError):
            self._files.rm_file(probe)
        return ""

    def link_target(self) -> str:
        return ""

    def exists(self, name: str) -> bool:
        return bool(self._patiently(name, lambda: self._files.exists(self._key(name))))

    def read(self, name: str) -> bytes:
        return self._patiently(name, lambda: self._get(self._key(name)))

    def _get(self, key: str) -> bytes:
        with self._files.open(key, "rb") as file:
            content: bytes = file.read()
            return content

    def write(self, name: str, content: bytes) -> None:
        key = self._key(name)
        if "/" in name:
            self._make(name, key.rpartition("/")[0])
        self._patiently(name, lambda: self._put(key, content))

    def _put(self, key: str, content: bytes) -> None:
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
        found = self._patiently("", lambda: self._files.ls(self._folder, detail=True))
        return sorted(e["name"].rpartition("/")[2] for e in found if e["type"] == "file")

    def folders(self, pattern: str) -> list[str]:
        wanted = pattern.split("/")
        fixed = list(takewhile(lambda part: "*" not in part, wanted))
        place, tail = "/".join(fixed), wanted[len(fixed) + 1 :]
        if any("*" not in part for part in tail):
            # A request for each folder is less than one for every thousand keys in all of them.
            outer = self._children(place, wanted[len(fixed)])
            return sorted(name for one in outer for name in self.folders("/".join([one, *tail])))
        keys = self._patiently(place, lambda: self._keys_below(self._key(place)))
        names = (key.removeprefix(f"{self._folder}/").split("/") for key in keys)
        # A folder is there if it holds something.
        found = {tuple(name[: len(wanted)]) for name in names if len(name) > len(wanted)}
        return sorted("/".join(name) for name in found if all(map(fnmatchcase, name, wanted)))

    def _children(self, place: str, pattern: str) -> list[str]:
        if not self.exists(place):
            return []
        found = self._patiently(place, lambda: self._files.ls(self._key(place), detail=True))
        names = [e["name"].rstrip("/").rpartition("/")[2] for e in found if e["type"] != "file"]
        # Not one that is itself a pattern: it is none of ours.
        return [f"{place}/{n}" for n in names if fnmatchcase(n, pattern) and "*" not in n]

    def _keys_below(self, folder: str) -> list[str]:
        arrow = getattr(self._files, "fs", None)
        if arrow is None:
            return list(self._files.find(folder))
        from pyarrow.fs import FileSelector

        # One request for a thousand keys, where fsspec would send one for each folder.
        selector = FileSelector(folder, allow_not_found=True, recursive=True)
        return [found.path for found in arrow.get_file_info(selector)]

    def remove(self, name: str) -> None:
        # A search may still be writing there: leftovers are deleted at the end of a session.
        with suppress(OSError):
            self._files.rm(self._key(name), recursive=True)

    def size(self) -> int:
        if not self.exists(""):
            return 0
        return int(self._patiently("", lambda: self._files.du(self._folder)))

    def _patiently(self, name: str, attempt: Callable[[], _T]) -> _T:
        """Return the result of an attempt, which is repeated if the store fails temporarily."""
        with explained(self.path(name)):
            for pause in _PAUSES_S:
                try:
                    return attempt()
                except FileNotFoundError:
                    raise
                except OSError as error:
                    if is_disk_full(error) or any(word in str(error) for word in _FINAL):
                        raise
                time.sleep(pause)
            return attempt()


def filesystem_at(root: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of a path or a URI, and the root's path in it.

    Raises:
        InputError: The URI's scheme is unknown, or its library is not installed.
    """
    scheme = urlsplit(root).scheme if "://" in root else ""
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
