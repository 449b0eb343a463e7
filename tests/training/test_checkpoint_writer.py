"""Checkpoints are written while the trial goes on, and no more often than they may cost."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.training import checkpoint_writer
from distill_tune.training.checkpoint_writer import CheckpointWriter, num_bytes, on_host
from distill_tune.training.checkpoints import newest_first, read_checkpoint

NAME = "alexnet-0001"


def epochs(root: Path) -> list[int]:
    return [int(folder[-6:]) for folder in newest_first(str(root), NAME)]


def test_a_copy_keeps_what_is_equal_once_and_is_not_changed_later() -> None:
    weights = torch.zeros(1000)
    content: dict[str, Any] = {"a": {"w": weights}, "b": [weights, 3], "c": "text"}
    copy = on_host(content)
    weights += 1
    assert copy["a"]["w"] is copy["b"][0]
    assert copy["a"]["w"].sum() == 0
    assert (copy["b"][1], copy["c"]) == (3, "text")
    assert num_bytes(content) == 4000


def test_what_was_offered_is_written_as_it_was_then(tmp_path: Path) -> None:
    writer, weights = CheckpointWriter(str(tmp_path), NAME, 1.0), torch.zeros(4)
    assert writer.offer(1, lambda: {"w": weights})
    weights += 1
    assert writer.offer(2, lambda: {"w": weights})
    writer.close()
    assert epochs(tmp_path) == [2, 1]
    read = [
        read_checkpoint(Path(folder), torch.device("cpu"))["w"].sum().item()
        for folder in newest_first(str(tmp_path), NAME)
    ]
    assert read == [4, 0]


def test_the_trial_goes_on_while_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, written = threading.Event(), []

    def store(_root: str, _trial: str, epoch: int, _content: object) -> None:
        may_write.wait(60)
        written.append(epoch)

    monkeypatch.setattr(checkpoint_writer, "store_checkpoint", store)
    # As large as costs nothing: due at once.
    writer = CheckpointWriter(str(tmp_path), NAME, 0.99)
    assert writer.offer(1, dict)
    assert not writer.offer(2, dict)
    assert written == []
    may_write.set()
    writer.close()
    assert written == [1]


def test_no_more_of_the_time_is_spent_than_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock of our own: an epoch takes 10 s and a checkpoint stops it for 1 s."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    writer = CheckpointWriter(str(tmp_path), NAME, 0.05)

    def make() -> dict[str, Any]:
        now[0] += 0.5  # It is asked twice the first time: for its size, too.
        return {"w": torch.zeros(125_000_000 // 125)}

    due = []
    for epoch in range(1, 13):
        now[0] += 10
        before = now[0]
        if writer.offer(epoch, make):
            due.append(epoch)
            writer.close()
        assert now[0] - before <= 1.0
    # 0.5 s is a twentieth of 10 s: every epoch could be; the thread's own time makes it later.
    assert due[0] == 1
    assert len(due) in range(5, 13)


def test_a_full_disk_is_told_to_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def store(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_writer, "store_checkpoint", store)
    writer = CheckpointWriter(str(tmp_path), NAME, 1.0)
    writer.offer(1, dict)
    with pytest.raises(OSError, match="No space left on device"):
        writer.offer(2, dict)
    writer.close()


def test_nothing_is_left_of_a_trial_that_is_over(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path), NAME, 1.0)
    writer.offer(1, lambda: {"w": torch.zeros(100_000)})
    writer.discard()
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_trial_that_is_stopped_is_saved_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = CheckpointWriter(str(tmp_path), NAME, 0.05)
    writer.save(3, lambda: {"w": torch.zeros(4)})
    assert epochs(tmp_path) == [3]
    always = CheckpointWriter(str(tmp_path), NAME, 1.0)
    always.offer(4, dict)
    stored: list[int] = []
    monkeypatch.setattr(checkpoint_writer, "store_checkpoint", lambda *a: stored.append(a[2]))
    always.save(4, dict)
    assert stored == []
