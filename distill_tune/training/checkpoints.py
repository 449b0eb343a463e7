"""Checkpoints of a study's trials: written atomically, found again, verified and deleted.

``checkpoints/<trial>/checkpoint_000003/`` belongs to the third epoch. These are not Ray's
checkpoints: an unfinished trial finds its newest sound one by its own name, whatever happened to
the experiment or the process that wrote it.
"""

import json
import os
import pickle
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch.serialization import get_crc32_options, set_crc32_options

from distill_tune.errors import StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.object_store import filesystem_at, is_local
from distill_tune.records.files.storage import storage_at

CHECKPOINT = "trial.pt"
_CHECKSUM_FILE = "trial.json"
_FOLDER = "checkpoints"
_KEPT = 2
_CHUNK = 1 << 24


def write_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint and a file with its size and CRC-32, which reveal damage later.

    Args:
        folder: An empty folder.
        content: Tensors and plain data only.
    """
    with (folder / CHECKPOINT).open("wb") as file:
        writer = _ChecksumWriter(file)
        with _without_torchs_checksums():
            torch.save(content, cast("IO[bytes]", writer))
        file.flush()
        os.fsync(file.fileno())
    (folder / _CHECKSUM_FILE).write_text(
        json.dumps({"bytes": writer.size, "crc32": writer.checksum})
    )


class _ChecksumWriter:
    """File that sums up the size and the checksum of what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = self.checksum = 0

    def write(self, content: Any) -> int:
        view = memoryview(content)
        self.checksum = zlib.crc32(view, self.checksum)
        self.size += view.nbytes
        return self._file.write(view)

    def flush(self) -> None:
        self._file.flush()


@contextmanager
def _without_torchs_checksums() -> Iterator[None]:
    """Turn off torch's own checksums, which nothing reads and which take most of the time."""
    before = get_crc32_options()
    set_crc32_options(compute_crc32=False)
    try:
        yield
    finally:
        set_crc32_options(before)


def store_checkpoint(root: str, trial: str, epoch: int, content: dict[str, Any]) -> None:
    """Write a checkpoint into a study, and delete all but the last two of its trial.

    On a disk it appears as a whole. In an object store its checksum file is written last.

    Args:
        root: The study directory or URI.
        trial: Name of the trial.
        epoch: The epoch that it follows.
        content: Tensors and plain data only, in main memory.
    """
    filesystem, path = filesystem_at(root)
    target = f"{_FOLDER}/{trial}/checkpoint_{epoch:06d}"
    if is_local(filesystem):
        _store_on_disk(Path(path, target), content)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            write_checkpoint(Path(scratch), content)
            for name in (CHECKPOINT, _CHECKSUM_FILE):
                storage_at(root).write(f"{target}/{name}", Path(scratch, name).read_bytes())
    for old in newest_first(root, trial)[_KEPT:]:
        _delete(filesystem, old)


def _store_on_disk(target: Path, content: dict[str, Any]) -> None:
    unfinished = target.with_name(f".{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        write_checkpoint(unfinished, content)
        # An existing checkpoint of that epoch was skipped as damaged, or is the same.
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def read_checkpoint(folder: Path, device: torch.device) -> dict[str, Any]:
    """Return a checkpoint's content.

    Raises:
        ValueError: It is missing, incomplete or damaged, or holds more than tensors and plain data
            (such as code); the message says which.
    """
    try:
        expected = json.loads((folder / _CHECKSUM_FILE).read_text())
        found = _checksum(folder / CHECKPOINT)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: {error}") from error
    if found != expected:
        raise ValueError(f"{folder / CHECKPOINT}: got {found}, expected {expected}")
    try:
        content = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    except torch.OutOfMemoryError:
        raise
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{folder / CHECKPOINT}: no tensors and plain data: {reason}") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f"{folder / CHECKPOINT}: got a {kind}, expected a dict")  # noqa: TRY004
    return content


def newest_first(root: str, trial: str) -> list[str]:
    """Return the checkpoint folders of a trial, newest first.

    Args:
        root: The study directory or URI.
        trial: Its name, such as ``resnet50-0007``.
    """
    filesystem, path = filesystem_at(root)
    return sorted(folders(filesystem, f"{path}/{_FOLDER}/{trial}", "checkpoint_"), reverse=True)


def folders(filesystem: Any, path: str, beginning: str = "") -> list[str]:
    """Return the folders whose names start with ``beginning``.

    This does not use a glob, as a path may contain its special characters.
    """
    try:
        found = filesystem.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = [entry["name"].rstrip("/") for entry in found if entry["type"] == "directory"]
    return [name for name in names if name.rpartition("/")[2].startswith(beginning)]


def local_copies(root: str, trial: str, scratch: Path) -> Iterator[Path]:
    """Yield the checkpoints of a trial as local folders, newest first, one at a time.

    Args:
        root: The study directory or URI.
        trial: Its name.
        scratch: Where to copy those that are in an object store.
    """
    filesystem, _ = filesystem_at(root)
    for number, folder in enumerate(newest_first(root, trial)):
        if is_local(filesystem):
            yield Path(folder)
            continue
        copy = scratch / str(number)
        copy.mkdir()
        for name in (CHECKPOINT, _CHECKSUM_FILE):
            # An unfinished one lacks its checksum file, and its reader skips it.
            with suppress(StudyError):
                stored = f"{_FOLDER}/{trial}/{folder.rpartition('/')[2]}/{name}"
                (copy / name).write_bytes(storage_at(root).read(stored))
        yield copy


def delete_checkpoints(root: str, trial: str) -> None:
    """Delete the checkpoints of a trial that has ended."""
    filesystem, path = filesystem_at(root)
    _delete(filesystem, f"{path}/{_FOLDER}/{trial}")


def delete_leftovers(directory: StudyDirectory, over: Collection[str]) -> None:
    """Delete the checkpoints of ended trials that a kill left behind.

    Args:
        directory: The study.
        over: Names of ended trials.
    """
    filesystem, path = filesystem_at(directory.root)
    for folder in folders(filesystem, f"{path}/{_FOLDER}"):
        if folder.rpartition("/")[2] in over:
            _delete(filesystem, folder)


def _delete(filesystem: Any, folder: str) -> None:
    # The trial may still be writing there: leftovers are deleted at the end of the session.
    with suppress(OSError):
        filesystem.rm(folder, recursive=True)


def _checksum(path: Path) -> dict[str, int]:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return {"bytes": path.stat().st_size, "crc32": checksum}
