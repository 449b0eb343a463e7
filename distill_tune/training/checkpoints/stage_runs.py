"""Checkpoints of a shared stage that is being computed, below the study until its product is."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import StudyError, is_disk_full
from distill_tune.records.files.storage import storage_at
from distill_tune.training.checkpoints.content import num_bytes, read_checkpoint, write_checkpoint
from distill_tune.training.checkpoints.folders import (
    RUNS_FOLDER,
    delete_checkpoints,
    local_copies,
)
from distill_tune.training.checkpoints.runs import RunCheckpoints

_NAME = re.compile(r"(classifier|warmup|triplet)-[0-9a-f]{16}")


class StagePlace(NamedTuple):
    """Place of a stage's checkpoints.

    Attributes:
        root: The study directory or URI.
        name: Name and key of the product; the key covers everything that the product depends on.
    """

    root: str
    name: str

    def saved(self, device: torch.device) -> Iterator[tuple[Any, list[Report]]]:
        """Yield states of a trial and the stage's reports so far, newest first.

        A checkpoint that cannot be read is skipped.
        """
        with tempfile.TemporaryDirectory() as scratch, suppress(StudyError):
            for folder in local_copies(self.root, self.name, Path(scratch)):
                with suppress(ValueError, KeyError, TypeError):
                    found = read_checkpoint(folder, device)
                    yield found["trial"], [Report(*report) for report in found["reports"]]

    def clear(self) -> None:
        """Delete the checkpoints: the product is stored."""
        delete_checkpoints(self.root, self.name)
        storage = storage_at(self.root)
        if storage.is_local:
            with suppress(OSError):  # Others may lie there.
                Path(storage.path(RUNS_FOLDER)).rmdir()


@dataclass(frozen=True)
class _StageRun:
    """Content of a stage's checkpoints, for :class:`RunCheckpoints`."""

    spec: StagePlace
    trial: Trial

    def num_bytes(self) -> int:
        return num_bytes(self.trial.state_dict())

    def write(self, folder: Path, notes: Mapping[str, Any]) -> None:
        write_checkpoint(folder, {"trial": self.trial.state_dict(), **notes})


class StageCheckpoints:
    """Writer of the checkpoints of one stage.

    Args:
        place: Where they lie.
        trial: Computes the stage.
        share: Largest share of its time that they may take, in (0, 1].
    """

    def __init__(self, place: StagePlace, trial: Trial, share: float) -> None:
        self._checkpoints = RunCheckpoints(_StageRun(place, trial), share)

    def offer(self, reports: Sequence[Report]) -> None:
        """Write a checkpoint if one is due. Errors but those of a full disk are ignored.

        Args:
            reports: The stage's so far.
        """
        try:
            self._checkpoints.offer(len(reports), {"reports": [list(one) for one in reports]})
        except (OSError, StudyError) as error:
            if is_disk_full(error):
                raise


def delete_stage_checkpoints(root: str) -> None:
    """Delete what stages that failed, or were begun by another version, left below a study."""
    storage = storage_at(root)
    with suppress(StudyError):
        for folder in storage.folders(f"{RUNS_FOLDER}/*"):
            if _NAME.fullmatch(folder.rpartition("/")[2]):
                storage.remove(folder)
