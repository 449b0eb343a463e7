"""Files in a folder on this machine, written so that neither a kill nor a power cut tears them."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distill_tune.errors import DiskFullError, InputError, StorageError, StudyError, is_disk_full


def whole_lines(log: bytes) -> bytes:
    """Return a log without a last line left unfinished by a kill; the result ends in a newline.

    A last line that lacks only its newline is kept.
    """
    end = log.rfind(b"\n") + 1
    tail = log[end:]
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(tail), dict):
            return log + b"\n"
    return log[:end]


class LocalFiles:
    """A folder on this machine; appended and written data are on the disk on return.

    A new folder is made when its first file is written. One that was there and is gone (moved,
    deleted, not mounted) is not made anew: writing there raises a StorageError. It is also gone if
    the logs that were appended to are: something else may have made a folder in its place.
    """

    is_local = True

    def __init__(self, root: str) -> None:
        try:
            self._root = Path(root).expanduser().absolute()
        except RuntimeError:
            expected = "a user that this machine knows after the '~'"
            raise InputError("study directory", got=root, expected=expected) from None
        self._was_there = self._is_there()
        self._logs: set[str] = set()

    def path(self, name: str) -> str:
        return str(self._root / name)

    def make(self) -> None:
        with explained(self.path("")):
            self._root.mkdir(parents=True, exist_ok=True)
            self._was_there = True

    def _is_there(self) -> bool:
        with suppress(OSError, ValueError):
            return self._root.is_dir()
        return False

    def _make_folder(self, target: Path) -> None:
        """Create the folder of a file.

        Raises:
            StorageError: The root was there, and is gone.
        """
        is_gone = self._was_there and not self._is_there()
        if is_gone or (self._logs and not any((self._root / log).exists() for log in self._logs)):
            what = "the study's folder" if self._logs else "the folder"
            cause = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root))
            raise StorageError(
                f"{what} is gone: {self._root} (moved, deleted or not mounted?); put it back, in "
                "place of anything that is there now"
            ) from cause
        target.parent.mkdir(parents=True, exist_ok=True)
        self._was_there = True

    def exists(self, name: str) -> bool:
        with explained(self.path(name)):
            return (self._root / name).exists()

    def obstacle(self) -> str:
        with explained(self.path("")):
            place = next(path for path in (self._root, *self._root.parents) if path.exists())
            if not place.is_dir():
                return f"got {place}, which is not a folder"
            return "" if os.access(place, os.W_OK) else f"got {place}, which is write-protected"

    def link_target(self) -> str:
        with explained(self.path("")):
            return str(self._root.readlink()) if self._root.is_symlink() else ""

    def read(self, name: str) -> bytes:
        with explained(self.path(name)):
            return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        target = self._root / name
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with explained(self.path(name)):
            self._make_folder(target)
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
        with explained(self.path(name)):
            self._make_folder(target)
            with target.open("a+b") as file:
                _repair(file)
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self._logs.add(name)

    def names(self) -> list[str]:
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if path.is_file())

    def folders(self, pattern: str) -> list[str]:
        with explained(self.path(pattern)):
            found = [path for path in self._root.glob(pattern) if path.is_dir()]
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def remove(self, name: str) -> None:
        shutil.rmtree(self._root / name, ignore_errors=True)

    def size(self) -> int:
        total = 0
        for folder, _, names in os.walk(self._root):
            for name in names:
                # A running search deletes old checkpoints while we count.
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
        return total


def _repair(file: Any) -> None:
    """Cut or complete the last line of an open log, so that the next one starts on its own line."""
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


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn an OSError into a message with the path, such as a full disk or no permission."""
    try:
        yield
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file or folder") from error
    except OSError as error:
        kind = DiskFullError if is_disk_full(error) else StudyError
        raise kind(f"{path}: {error.strerror or error}") from error
