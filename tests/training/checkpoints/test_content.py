"""Checkpoints are not believed when they are damaged, or hold more than tensors and plain data."""

import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.training.checkpoints.content import num_bytes, read_checkpoint, write_checkpoint

CPU = torch.device("cpu")
CONTENT = {"weights": torch.arange(4.0), "epoch": 3, "objective": 0.25}


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


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ray's temporary folder stays where it is when a trial cannot be saved."""
    with pytest.raises(AttributeError):
        write_checkpoint(tmp_path, CONTENT | {"code": lambda: 0})
    assert list(tmp_path.iterdir()) == []


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


def test_what_is_equal_is_stored_and_counted_once(tmp_path: Path) -> None:
    weights = torch.zeros(100_000)
    content: dict[str, Any] = {"a": {"w": weights}, "b": [weights, 3], "c": "text"}
    assert num_bytes(content) == 400_000
    write_checkpoint(tmp_path, content)
    assert 400_000 < (tmp_path / "trial.pt").stat().st_size < 410_000
