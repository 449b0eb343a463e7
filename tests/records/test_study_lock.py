"""The lock of a study directory: one search at a time, and none after a kill."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from distill_tune.errors import DiskFullError, StudyError
from distill_tune.records.directory import StudyDirectory
from distill_tune.report.following.destination import StudyIdentity
from distill_tune.report.following.memory import Memory
from distill_tune.training import training_folder


def test_two_searches_cannot_hold_one_study(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path / "s"))
    assert directory.in_use() is False
    with directory.lock():
        assert directory.in_use() is True
        with (
            pytest.raises(StudyError, match=r"s is in use by another search"),
            StudyDirectory(directory.root).lock(),
        ):
            pass
    assert directory.in_use() is False
    assert not directory.exists()


def unavailable(number: int) -> OSError:
    return OSError(number, os.strerror(number))


# Network disks without locks; a foreign file; an older version of filelock.
OBSTACLES = [
    ("fcntl.flock", unavailable(errno.ENOLCK), "No locks available"),
    ("fcntl.flock", unavailable(errno.EOPNOTSUPP), "Operation not supported"),
    ("fcntl.flock", unavailable(errno.EROFS), "Read-only file system"),
    ("filelock.FileLock.acquire", unavailable(errno.EACCES), "Permission denied"),
    ("filelock.FileLock.acquire", NotImplementedError("no flock"), "no flock"),
]


def memory(folder: Path) -> AbstractContextManager[object]:
    study = StudyDirectory(str(folder))
    return Memory(study, StudyIdentity("s", "0" * 12), "webhook=x", str(folder)).opened()


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=[text for *_, text in OBSTACLES])
@pytest.mark.parametrize(
    ("lock", "name"),
    [
        (lambda folder: StudyDirectory(str(folder)).lock(), "lock"),
        (training_folder.opened, "unfinished_training/lock"),
        (memory, "s-000000000000-webhook-*.lock"),
    ],
    ids=["study", "training", "follow"],
)
def test_a_place_without_locks_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lock: Callable[[Path], AbstractContextManager[object]],
    name: str,
    obstacle: tuple[str, Exception, str],
) -> None:
    target, error, met = obstacle

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(target, fail)
    with pytest.raises(StudyError) as caught, lock(tmp_path):
        pass
    place, _, told = str(caught.value).partition(": got ")
    assert Path(place).match(str(tmp_path / name))
    assert told == (
        f"{met!r} from the file lock, expected a file on a disk with file locks that this user "
        "may write"
    )
    assert caught.value.exit_code == 2
    directory = StudyDirectory(str(tmp_path))
    (tmp_path / "lock").touch()
    assert directory.in_use() is None


def test_a_full_disk_leaves_no_room_for_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise unavailable(errno.ENOSPC)

    monkeypatch.setattr("filelock.FileLock.acquire", fail)
    with (
        pytest.raises(DiskFullError, match=r"lock: No space left on device"),
        StudyDirectory(str(tmp_path)).lock(),
    ):
        pass
    with (
        pytest.raises(DiskFullError, match=r"No space left on device\nMake room, then go on"),
        training_folder.opened(tmp_path),
    ):
        pass


HOLDER = """
import sys, time
from distill_tune.records.directory import StudyDirectory
with StudyDirectory(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert directory.in_use() is True
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with directory.lock():
        assert directory.in_use() is True


def test_an_object_store_has_no_lock(tmp_path: Path) -> None:
    directory = StudyDirectory(f"memory://{tmp_path.name}/s")
    with directory.lock():
        assert directory.in_use() is None
