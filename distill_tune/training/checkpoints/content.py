"""A checkpoint: a folder with a trial's state, and with the checksum that reveals damage.

Ray makes the folders of a search's trials (:mod:`distill_tune.training.checkpoints.folders` finds
them again), and ``train`` and confirmations their own. What is in them is written and read here.
"""

import json
import os
import pickle
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch.serialization import get_crc32_options, set_crc32_options

CHECKPOINT = "trial.pt"
CHECKSUM = "trial.json"
_CHUNK = 1 << 24


def write_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint and a file with its size and CRC-32, which reveal damage later.

    Args:
        folder: An empty folder; it is left empty if there is no room.
        content: Tensors and plain data only.
    """
    path = folder / CHECKPOINT
    try:
        with path.open("wb") as file:
            writer = _ChecksumWriter(file)
            with _without_torchs_checksums():
                torch.save(content, cast("IO[bytes]", writer))
        expected = {"bytes": writer.size, "crc32": writer.checksum}
        (folder / CHECKSUM).write_text(json.dumps(expected))
    except Exception:
        path.unlink(missing_ok=True)
        raise


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


def read_checkpoint(folder: Path, device: torch.device) -> dict[str, Any]:
    """Return a checkpoint's content.

    Raises:
        ValueError: It is missing, incomplete or damaged, or holds more than tensors and plain data
            (such as code); the message says which.
    """
    try:
        expected = json.loads((folder / CHECKSUM).read_text())
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


def flush(folder: Path) -> None:
    """Let a checkpoint outlive a power cut; one that has been deleted meanwhile is skipped."""
    with suppress(OSError):
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def num_bytes(content: object) -> int:
    """Return the size of all tensors in nested dicts and lists, each counted once."""
    sizes: dict[int, int] = {}
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            sizes[id(value)] = value.nbytes
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list | tuple):
            left.extend(value)
    return sum(sizes.values())


def _checksum(path: Path) -> dict[str, int]:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return {"bytes": path.stat().st_size, "crc32": checksum}
