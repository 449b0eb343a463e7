"""Checkpoints as Ray leaves them in a study: written whole, found again, checked, deleted.

Every session of a search is a Ray experiment of its own below ``ray/`` (``session-0002``; begun
again within the session, ``session-0002-1``); the state of that experiment is not read again. What
a resumed study needs is in its records and in the newest sound checkpoint of each trial that is
not over.
"""

import json
import pickle
import re
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import torch

from distill_tune.records import StudyDirectory

CHECKPOINT = "trial.pt"
_SEAL = "trial.json"
_CHUNK = 1 << 24


def write_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint and its seal: size and CRC-32, by which damage is noticed later.

    Args:
        folder: An empty folder.
        content: Tensors and plain data only.
    """
    torch.save(content, folder / CHECKPOINT)
    (folder / _SEAL).write_text(json.dumps(_seal(folder / CHECKPOINT)))


def read_checkpoint(folder: Path, device: torch.device) -> dict[str, Any]:
    """Return a checkpoint's content.

    Raises:
        ValueError: It is missing, incomplete, damaged, or holds more than tensors and plain data
            (such as code); the message says which.
    """
    try:
        expected = json.loads((folder / _SEAL).read_text())
        found = _seal(folder / CHECKPOINT)
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
    """Return the checkpoint folders of a trial over all sessions, newest first.

    Args:
        root: The study directory or URI.
        trial: Its name, such as ``resnet50-0007``.
    """
    filesystem, path = fsspec.core.url_to_fs(root)
    sessions = folders(filesystem, f"{path}/ray", "session-")
    found = [
        folder
        for session in sessions
        for folder in folders(filesystem, f"{session}/{trial}", "checkpoint_")
    ]
    return sorted(found, key=_order, reverse=True)


def folders(filesystem: Any, path: str, beginning: str = "") -> list[str]:
    """Return the folders whose names begin so; not by a glob, as a path may hold its signs."""
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
        scratch: Where to put what lies in an object store.
    """
    filesystem, _ = fsspec.core.url_to_fs(root)
    is_local = isinstance(filesystem, fsspec.implementations.local.LocalFileSystem)
    for number, folder in enumerate(newest_first(root, trial)):
        if is_local:
            yield Path(folder)
            continue
        copy = scratch / str(number)
        filesystem.get(f"{folder}/", f"{copy}/", recursive=True)
        yield copy


def delete_checkpoints(directory: StudyDirectory, trial: str, *, keep: int = 0) -> None:
    """Delete the checkpoints of a trial but for the newest: one that is over needs none."""
    filesystem, _ = fsspec.core.url_to_fs(directory.root)
    for folder in newest_first(directory.root, trial)[keep:]:
        with suppress(FileNotFoundError):
            filesystem.rm(folder, recursive=True)


def delete_leftovers(directory: StudyDirectory, over: Collection[str]) -> None:
    """Delete the checkpoints of trials that are over; a kill may have come before they were.

    Args:
        directory: The study.
        over: Names of trials.
    """
    filesystem, path = fsspec.core.url_to_fs(directory.root)
    # One listing: in an object store each costs a round trip.
    found = {
        match[1]: match[2]
        for name in filesystem.find(f"{path}/ray", withdirs=True)
        if (match := re.match(r"(.*/session-[\d-]+/([^/]+)/checkpoint_\d+)(?:/|$)", name))
    }
    for folder, trial in found.items():
        if trial in over:
            with suppress(FileNotFoundError):
                filesystem.rm(folder, recursive=True)


def _order(folder: str) -> tuple[int, ...]:
    numbers = re.search(r"/session-(\d+)(?:-(\d+))?/[^/]+/checkpoint_(\d+)$", folder)
    return tuple(int(number or 0) for number in numbers.groups()) if numbers else ()


def _seal(path: Path) -> dict[str, int]:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return {"bytes": path.stat().st_size, "crc32": checksum}
