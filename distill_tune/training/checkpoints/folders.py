"""Folders of a study's checkpoints: found again in their order, copied here, and deleted.

``ray/session-0003/<trial>/checkpoint_000001/`` was made by Ray in the fourth session;
``checkpoints/<run>/checkpoint_000003/`` by a run outside of Ray Tune, or by an earlier version.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from distill_tune.errors import StudyError
from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoints.content import CHECKPOINT, CHECKSUM

KEPT = 2
"""Checkpoints that are kept of an unfinished trial: the newest one may be damaged."""
RAY_FOLDER, RUNS_FOLDER = "ray", "checkpoints"
_NUMBER = re.compile(r"\d+")


def newest_first(root: str, trial: str) -> list[str]:
    """Return the names of a trial's checkpoint folders below a study, newest first.

    A later session's are newer, whatever their epochs: it may have gone on from an older one.

    Args:
        root: The study directory or URI.
        trial: Name of the trial or run, such as ``resnet50-0007``.
    """
    storage = storage_at(root)
    rays = storage.folders(f"{RAY_FOLDER}/session-*/{trial}/checkpoint_*")
    others = storage.folders(f"{RUNS_FOLDER}/{trial}/checkpoint_*")
    return [*sorted(rays, key=_age, reverse=True), *reversed(others)]


def _age(folder: str) -> list[list[int]]:
    """Return the numbers of a session and a checkpoint: ``session-0003-1`` follows ``-0003``."""
    _, session, _, checkpoint = folder.split("/")
    return [[int(number) for number in _NUMBER.findall(part)] for part in (session, checkpoint)]


def local_copies(root: str, trial: str, scratch: Path) -> Iterator[Path]:
    """Yield the checkpoints of a trial as local folders, newest first, one at a time.

    Args:
        root: The study directory or URI.
        trial: Its name.
        scratch: Where to copy those that are in an object store.
    """
    storage = storage_at(root)
    for folder in newest_first(root, trial):
        if storage.is_local:
            yield Path(storage.path(folder))
            continue
        copy = scratch / folder
        copy.mkdir(parents=True)
        for name in (CHECKPOINT, CHECKSUM):
            # An unfinished one lacks a file, and its reader skips it.
            with suppress(StudyError):
                (copy / name).write_bytes(storage.read(f"{folder}/{name}"))
        yield copy


def delete_checkpoints(root: str, trial: str) -> None:
    """Delete the checkpoints of a trial that has ended."""
    with suppress(StudyError):
        _delete(root, [*newest_first(root, trial), f"{RUNS_FOLDER}/{trial}"])


def delete_older(root: str, trial: str) -> None:
    """Delete all but the last two checkpoints of a trial; Ray sees to those of one session only."""
    with suppress(StudyError):
        _delete(root, newest_first(root, trial)[KEPT:])


def delete_leftovers(root: str, over: AbstractSet[str]) -> None:
    """Delete the checkpoints of ended trials that a kill left behind.

    Args:
        root: The study directory or URI.
        over: Names of ended trials and runs.
    """
    storage = storage_at(root)
    with suppress(StudyError):
        found = storage.folders(f"{RAY_FOLDER}/session-*/*/checkpoint_*")
        found += storage.folders(f"{RUNS_FOLDER}/*")
        _delete(root, [folder for folder in found if not over.isdisjoint(folder.split("/"))])


def _delete(root: str, folders: list[str]) -> None:
    for folder in folders:
        storage_at(root).remove(folder)
