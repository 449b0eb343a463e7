"""The lock of a study directory: one search at a time, and none after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distill_tune.errors import StudyError
from distill_tune.records.directory import StudyDirectory


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
