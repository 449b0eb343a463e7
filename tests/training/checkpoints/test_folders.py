"""Folders of checkpoints: found in the order of their age, on a disk and behind a URI."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import LocalFileSystem

from distill_tune.records.files import object_store
from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoints.folders import (
    delete_checkpoints,
    delete_leftovers,
    delete_older,
    local_copies,
    newest_first,
)

NAME = "alexnet-0001"
RAYS = f"ray/session-000{{}}/{NAME}/checkpoint_{{:06d}}".format
OLD = f"checkpoints/{NAME}/checkpoint_{{:06d}}".format


@pytest.fixture(params=["disk", "memory", "arrow"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return a study's root, on a disk and in object stores."""
    if request.param == "disk":
        # Its name may contain what has a meaning in patterns.
        yield str(tmp_path / "runs [1]*?")
        return
    if request.param == "arrow":
        files = ArrowFSWrapper(LocalFileSystem())
        monkeypatch.setattr(
            object_store, "filesystem_at", lambda _: (files, str(tmp_path / "bucket"))
        )
        yield "s3://bucket"
        return
    yield "memory://runs/study"
    fsspec.filesystem("memory").rm("/runs", recursive=True)


def make(root: str, *folders: str) -> None:
    """Make folders with the files of a checkpoint."""
    for folder in folders:
        for name in ("trial.pt", "trial.json"):
            storage_at(root).write(f"{folder}/{name}", folder.encode())


def test_the_newest_session_comes_first_whatever_its_epochs_and_numbers(root: str) -> None:
    expected = [
        RAYS("9-10", 0),
        RAYS("9-2", 1),
        RAYS("9-2", 0),
        RAYS("9", 11),
        RAYS("9", 9),
        RAYS("3", 20),
        OLD(12),
        OLD(11),
    ]
    make(root, *sorted(expected), RAYS("9", 12).replace("0001/", "0010/"))
    assert newest_first(root, NAME) == expected
    assert newest_first(root, "alexnet-0002") == []


def test_they_are_read_one_at_a_time_from_wherever_they_are(root: str, tmp_path: Path) -> None:
    make(root, RAYS("1", 0), RAYS("2", 0))
    storage_at(root).write(f"{RAYS('2', 1)}/trial.pt", b"half")
    half, *whole = local_copies(root, NAME, tmp_path / "scratch")
    assert [path.name for path in half.iterdir()] == ["trial.pt"]
    texts = [(path / "trial.pt").read_text() for path in whole]
    assert texts == [RAYS("2", 0), RAYS("1", 0)]


def test_a_study_without_checkpoints_has_none(root: str, tmp_path: Path) -> None:
    make(root, "elsewhere", "ray/session-*/alexnet-0009/checkpoint_000000")
    assert newest_first(root, NAME) == []
    assert list(local_copies(root, NAME, tmp_path)) == []
    delete_leftovers(root, {NAME})
    delete_older(root, NAME)
    delete_checkpoints(root, NAME)
    assert storage_at(root).exists("elsewhere/trial.pt")


def test_only_the_checkpoints_of_the_trial_that_is_over_are_deleted(root: str) -> None:
    other = RAYS("1", 1).replace("0001/", "0002/")
    make(root, RAYS("1", 1), RAYS("2", 0), OLD(3), other)
    storage_at(root).write(f"ray/session-0001/{NAME}/error.txt", b"why")
    delete_checkpoints(root, NAME)
    assert newest_first(root, NAME) == []
    assert newest_first(root, "alexnet-0002") == [other]
    assert storage_at(root).exists(f"ray/session-0001/{NAME}/error.txt")
    assert not storage_at(root).exists(f"checkpoints/{NAME}")


def test_two_are_kept_over_all_sessions(root: str) -> None:
    make(root, OLD(9), RAYS("1", 5), RAYS("1", 6), RAYS("2", 0))
    delete_older(root, NAME)
    assert newest_first(root, NAME) == [RAYS("2", 0), RAYS("1", 6)]


def test_what_a_kill_left_of_trials_that_are_over_is_deleted(root: str) -> None:
    kept = [path.replace("0001/", "0002/") for path in (RAYS("1", 4), OLD(2))]
    make(root, RAYS("1", 1), RAYS("2", 0), OLD(1), *kept)
    make(root, f"checkpoints/{NAME}/.checkpoint_000002")
    delete_leftovers(root, {NAME, "alexnet-0007"})
    assert newest_first(root, NAME) == []
    assert storage_at(root).folders("checkpoints/*") == ["checkpoints/alexnet-0002"]
    assert newest_first(root, "alexnet-0002") == kept
