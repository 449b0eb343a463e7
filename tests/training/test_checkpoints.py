"""Checkpoints: found again in their order, and not believed when they are damaged."""

import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.records.directory import StudyDirectory
from distill_tune.training.checkpoints import (
    delete_checkpoints,
    delete_leftovers,
    local_copies,
    newest_first,
    read_checkpoint,
    store_checkpoint,
    write_checkpoint,
)

CPU = torch.device("cpu")
CONTENT = {"weights": torch.arange(4.0), "epoch": 3, "objective": 0.25}


def saved(root: Path, epoch: int, trial: str = "alexnet-0001") -> Path:
    store_checkpoint(str(root), trial, epoch, CONTENT | {"epoch": epoch})
    return root / f"checkpoints/{trial}/checkpoint_{epoch:06d}"


def test_a_checkpoint_reads_back_equal(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, CONTENT)
    again = read_checkpoint(tmp_path, CPU)
    assert torch.equal(again.pop("weights"), torch.arange(4.0))
    assert again == {"epoch": 3, "objective": 0.25}


@pytest.mark.parametrize("name", ["trial.pt", "trial.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "gone"])
def test_damage_is_noticed(tmp_path: Path, name: str, damage: str) -> None:
    write_checkpoint(tmp_path, CONTENT)
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged: dict[str, bytes] = {"cut": bytes(content[: len(content) // 2])}
    damaged |= {"empty": b"", "flipped": bytes(content)}
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=str(tmp_path)):
        read_checkpoint(tmp_path, CPU)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.path), os.O_CREAT)


def seal(folder: Path) -> None:
    """Vouch for whatever lies there, as one who plants it would."""
    content = (folder / "trial.pt").read_bytes()
    text = json.dumps({"bytes": len(content), "crc32": zlib.crc32(content)})
    (folder / "trial.json").write_text(text)


@pytest.mark.parametrize("write_pickle", [pickle.dump, torch.save])
def test_a_sealed_pickle_is_refused_and_not_run(tmp_path: Path, write_pickle: Any) -> None:
    with (tmp_path / "trial.pt").open("wb") as file:
        write_pickle({"trial": Touch(tmp_path / "ran")}, file)
    seal(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path / 'trial.pt'}: no tensors and plain data: "):
        read_checkpoint(tmp_path, CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 no archive"])
def test_a_sealed_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trial.pt").write_bytes(content)
    seal(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path / 'trial.pt'}: no tensors and plain data: "):
        read_checkpoint(tmp_path, CPU)


def test_a_checkpoint_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "trial.pt")
    seal(tmp_path)
    with pytest.raises(ValueError, match=r"trial\.pt: got a list, expected a dict"):
        read_checkpoint(tmp_path, CPU)


@pytest.mark.parametrize("name", ["runs", "runs [1]", "a*b?c"])
def test_the_newest_comes_first_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    folders = [saved(root, 9), saved(root, 11)]
    saved(root, 12, trial="alexnet-0010")
    expected = folders[::-1]
    assert newest_first(str(root), "alexnet-0001") == [str(folder) for folder in expected]
    assert list(local_copies(str(root), "alexnet-0001", tmp_path)) == expected


def test_a_trial_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert newest_first(str(tmp_path / "nothing"), "alexnet-0001") == []


def test_only_the_checkpoints_of_the_trial_that_is_over_are_deleted(tmp_path: Path) -> None:
    gone, kept = saved(tmp_path, 1), saved(tmp_path, 1, trial="alexnet-0002")
    delete_checkpoints(str(tmp_path), "alexnet-0001")
    assert not gone.exists()
    assert kept.exists()


def test_what_a_kill_left_of_trials_that_are_over_is_deleted(tmp_path: Path) -> None:
    gone = [saved(tmp_path, 1), saved(tmp_path, 2)]
    unfinished = tmp_path / "checkpoints/alexnet-0001/.checkpoint_000003"
    unfinished.mkdir()
    kept = saved(tmp_path, 4, trial="alexnet-0002")
    delete_leftovers(StudyDirectory(str(tmp_path)), {"alexnet-0001"})
    assert not any(folder.exists() for folder in (*gone, unfinished))
    assert read_checkpoint(kept, CPU)["epoch"] == 4


def test_the_last_two_are_kept_and_one_of_the_same_epoch_is_replaced(tmp_path: Path) -> None:
    folders = [saved(tmp_path, epoch) for epoch in (1, 2, 3)]
    (folders[2] / "trial.pt").write_bytes(b"damaged")
    saved(tmp_path, 3)
    assert [folder.exists() for folder in folders] == [False, True, True]
    assert read_checkpoint(folders[2], CPU)["epoch"] == 3
    assert sorted(path.name for path in folders[2].parent.iterdir()) == [
        "checkpoint_000002",
        "checkpoint_000003",
    ]


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    whole = saved(tmp_path, 1)
    half = whole.with_name(".checkpoint_000002")
    half.mkdir()
    (half / "trial.pt").write_bytes(b"half")
    assert newest_first(str(tmp_path), "alexnet-0001") == [str(whole)]
    again = saved(tmp_path, 2)
    assert newest_first(str(tmp_path), "alexnet-0001") == [str(again), str(whole)]
    assert not half.exists()


def test_a_study_without_checkpoints_has_no_leftovers(tmp_path: Path) -> None:
    delete_leftovers(StudyDirectory(str(tmp_path)), {"alexnet-0001"})
    assert list(tmp_path.iterdir()) == []
