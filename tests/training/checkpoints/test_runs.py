"""Checkpoints of runs outside of Ray Tune: whole or not there, the last two, on a disk or not."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fsspec
import pytest
import torch

from distill_tune.training.checkpoints.content import read_checkpoint, write_checkpoint
from distill_tune.training.checkpoints.folders import local_copies, newest_first
from distill_tune.training.checkpoints.runs import RunCheckpoints
from distill_tune.training.runner import Runner

NAME = "confirm-alexnet"


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path / "runs")
        return
    yield "memory://runs"
    fsspec.filesystem("memory").rm("/runs", recursive=True)


def write(folder: Path, notes: Mapping[str, Any]) -> None:
    write_checkpoint(folder, dict(notes))


def checkpoints(
    root: str,
    share: float = 1.0,
    write: Callable[[Path, Mapping[str, Any]], None] = write,
) -> RunCheckpoints:
    spec = SimpleNamespace(root=root, name=NAME)
    runner = SimpleNamespace(spec=spec, write=write, num_bytes=lambda: 10**9)
    return RunCheckpoints(cast("Runner[Any]", runner), share)


def found(root: str, scratch: Path) -> list[int]:
    """Return what the checkpoints hold, newest first."""
    folders = local_copies(root, NAME, scratch)
    return [read_checkpoint(folder, torch.device("cpu"))["number"] for folder in folders]


def test_the_last_two_are_kept_and_one_of_the_same_number_is_replaced(
    root: str, tmp_path: Path
) -> None:
    offered = checkpoints(root)
    for number in (1, 2, 3):
        offered.offer(number, {"number": number})
    assert found(root, tmp_path / "1") == [3, 2]
    offered.offer(3, {"number": 33})
    assert found(root, tmp_path / "2") == [33, 2]


def test_none_is_written_that_takes_too_long_but_one_of_a_run_that_is_stopped(
    root: str, tmp_path: Path
) -> None:
    offered = checkpoints(root, 0.05)
    offered.offer(1, {"number": 1})
    assert found(root, tmp_path) == []
    offered.save(1, {"number": 1})
    assert found(root, tmp_path) == [1]


def full(folder: Path, notes: Mapping[str, Any]) -> None:
    write(folder, notes)
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_and_leaves_nothing_half_written(root: str, tmp_path: Path) -> None:
    checkpoints(root).offer(1, {"number": 1})
    with pytest.raises(OSError, match="No space left on device"):
        checkpoints(root, write=full).offer(2, {"number": 2})
    checkpoints(root, write=full).save(2, {"number": 2})
    assert found(root, tmp_path) == [1]


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints(str(tmp_path)).offer(1, {"number": 1})
    half = tmp_path / f"checkpoints/{NAME}/.checkpoint_000002"
    half.mkdir()
    (half / "trial.pt").write_bytes(b"half")
    assert len(newest_first(str(tmp_path), NAME)) == 1
    checkpoints(str(tmp_path)).offer(2, {"number": 2})
    assert found(str(tmp_path), tmp_path) == [2, 1]
    assert not half.exists()


def test_a_study_that_is_gone_is_not_made_anew_for_a_checkpoint(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    offered = checkpoints(str(root))
    offered.offer(1, {"number": 1})
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=str(root)):
        offered.offer(2, {"number": 2})
    assert not root.exists()
    (tmp_path / "elsewhere").rename(root)
    offered.offer(2, {"number": 2})
    assert found(str(root), tmp_path) == [2, 1]
