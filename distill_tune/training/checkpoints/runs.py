"""Checkpoints outside of Ray Tune: of a training, an arm of a confirmation or a shared stage."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoints.clock import CheckpointClock
from distill_tune.training.checkpoints.content import CHECKPOINT, CHECKSUM, flush
from distill_tune.training.checkpoints.folders import RUNS_FOLDER, delete_older


class Place(Protocol):
    """Place of a run's checkpoints: below a study directory, URI or other root, under its name."""

    @property
    def root(self) -> str: ...

    @property
    def name(self) -> str: ...


class Run(Protocol):
    """Run whose checkpoints are written, such as a ``Runner``."""

    @property
    def spec(self) -> Place: ...

    def num_bytes(self) -> int:
        """Return the size of a checkpoint of the present state."""

    def write(self, folder: Path, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint of the present state into an empty folder."""


class RunCheckpoints:
    """Writer of the checkpoints of one run, below its root.

    Args:
        runner: The run.
        share: Largest share of its time that they may take, in (0, 1].
    """

    def __init__(self, runner: Run, share: float) -> None:
        self._runner, self._clock = runner, CheckpointClock(share)
        storage = storage_at(runner.spec.root)
        self._had_root = storage.is_local and storage.exists("")

    def offer(self, number: int, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint if one is due.

        Args:
            number: Number of the checkpoint; a higher one is newer.
            notes: What the runner's ``read`` reads, as tensors and plain data.

        Raises:
            OSError: There was no room, or nothing could be written.
        """
        if self._clock.is_due(self._runner.num_bytes):
            self._clock.begin()
            self._write(number, notes)
            self._clock.end()

    def save(self, number: int, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint now. Errors are ignored: the one before still exists."""
        with suppress(Exception):
            self._write(number, notes)

    def _write(self, number: int, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint, and delete all but the last two.

        On a disk it appears as a whole. In an object store its checksum is written last. A study
        that is gone is not made anew.
        """
        spec = self._runner.spec
        storage, name = storage_at(spec.root), f"{RUNS_FOLDER}/{spec.name}/checkpoint_{number:06d}"
        if self._had_root and not storage.exists(""):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), spec.root)
        if storage.is_local:
            self._write_on_disk(Path(storage.path(name)), notes)
        else:
            with tempfile.TemporaryDirectory() as scratch:
                self._runner.write(Path(scratch), notes)
                for file in (CHECKPOINT, CHECKSUM):
                    storage.write(f"{name}/{file}", Path(scratch, file).read_bytes())
        delete_older(spec.root, spec.name)

    def _write_on_disk(self, target: Path, notes: Mapping[str, Any]) -> None:
        unfinished = target.with_name(f".{target.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            self._runner.write(unfinished, notes)
            flush(unfinished)
            # An existing checkpoint of that number was skipped as damaged, or is the same.
            shutil.rmtree(target, ignore_errors=True)
            unfinished.rename(target)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
