"""Storage of the products of shared stages, in each study and once for all studies beside it.

``runs/resnet/stages/`` belongs to a study and stays with it. ``runs/.stages/`` holds what the
studies below ``runs`` have computed so far, and may be deleted at any time. On a disk both are one
file under two names.
"""

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import StudyError
from distill_tune.records.checksums import add_checksum, strip_checksum
from distill_tune.records.directory import ARMS_FOLDER, STAGES_FOLDER, STUDY_FILE, stage_picture
from distill_tune.records.files.locks import UNAVAILABLE, FileLock, Timeout
from distill_tune.records.files.storage import joined, split_last, storage_at
from distill_tune.training.stages import (
    ComputePlace,
    SharedStage,
    stage_key,
)

_COMMON = ".stages"


class StageStore:
    """Products that a study holds, and those of the studies beside it.

    Args:
        root: The study directory or URI.
        digest: The data's digest; for several draws, their digests by ``subset_seed``.
        place: Where stages are computed.

    Attributes:
        root: As given.
    """

    def __init__(
        self, root: str, digest: str | Mapping[int | None, str], place: ComputePlace
    ) -> None:
        self.root, self.place, self._digest = root, place, digest
        self._study, self._common = storage_at(root), storage_at(common_root(root))

    def key(self, stage: SharedStage, config: TrialConfig) -> str:
        """Return the key of a product."""
        one = self._digest
        digest = one if isinstance(one, str) else one[config.data.subset_seed]
        return stage_key(stage, config, digest, self.place)

    def path(self, stage: SharedStage, config: TrialConfig) -> str:
        """Return the path of a product in the study, whether it exists or not."""
        return self._study.path(self._name(stage, config))

    def read(
        self, stage: SharedStage, config: TrialConfig, device: torch.device
    ) -> dict[str, Any] | None:
        """Return what :meth:`write` saved of a stage; None if the study has none.

        Raises:
            ValueError: It is damaged, or holds more than tensors and plain data; the message names
                the file.
        """
        return self.read_key(stage, self.key(stage, config), device)

    def read_key(self, stage: SharedStage, key: str, device: torch.device) -> dict[str, Any] | None:
        """Return what :meth:`read` returns, of the product with a key."""
        name = _name(stage, key)
        if not self._study.exists(name):
            return None
        content = _checked(self._study, name)
        try:
            saved: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location=device, weights_only=True
            )
        except torch.OutOfMemoryError:
            raise
        except (pickle.UnpicklingError, RuntimeError) as error:
            path = self._study.path(name)
            raise ValueError(f"{path}: holds other things than tensors and plain data") from error
        return saved

    def write(
        self,
        stage: SharedStage,
        config: TrialConfig,
        reports: list[Report],
        product: object,
        grid: bytes = b"",
    ) -> float:
        """Store a product, as a whole or not at all; return the seconds that its reports took.

        Args:
            stage: Which.
            config: That of a trial that needs it.
            reports: The stage's.
            product: Tensors and plain data.
            grid: A picture of generated images, as PNG; empty for none. It is part of the product,
                so that studies which adopt the product have it too.
        """
        seconds = sum(report.seconds for report in reports)
        saved: dict[str, Any] = {"product": product, "seconds": seconds}
        saved |= {"reports": [list(report) for report in reports]}
        saved |= {"grid": torch.tensor(list(grid), dtype=torch.uint8)}
        buffer = io.BytesIO()
        torch.save(saved, buffer)
        self._study.write(self._name(stage, config), add_checksum(buffer.getvalue()))
        self.show(stage, config, saved)
        return seconds

    def show(self, stage: SharedStage, config: TrialConfig, saved: dict[str, Any]) -> None:
        """Write the picture of a product beside it, unless it exists."""
        name = stage_picture(stage, self.key(stage, config))
        grid = saved.get("grid")
        if grid is not None and len(grid) and not self._study.exists(name):
            self._study.write(name, grid.cpu().numpy().tobytes())

    def publish(self, stage: SharedStage, config: TrialConfig) -> None:
        """Give a product of this study to the studies beside it."""
        _copy(self._study, self._common, self._name(stage, config))

    def adopt(self, stage: SharedStage, config: TrialConfig) -> bool:
        """Adopt what another study has computed, if it is sound; return whether there was any."""
        name = self._name(stage, config)
        try:
            if not self._common.exists(name):
                return False
            _checked(self._common, name)
            _copy(self._common, self._study, name)
        except (ValueError, StudyError):
            return False
        return True

    def is_there(self, stage: SharedStage, config: TrialConfig) -> bool:
        """Return whether this study or one beside it holds a product, sound or not."""
        name = self._name(stage, config)
        return self._study.exists(name) or self._common.exists(name)

    def claim(self, stage: SharedStage, config: TrialConfig) -> "Claim":
        """Return a claim to compute a stage, which one study at a time can hold."""
        key = self.key(stage, config)
        return Claim(self._common.path(f"{stage}-{key}.lock") if self._common.is_local else None)

    def _name(self, stage: SharedStage, config: TrialConfig) -> str:
        return _name(stage, self.key(stage, config))


class Claim:
    """Lock that ends with its process, however that ends; without a path, it is always free."""

    def __init__(self, path: str | None) -> None:
        self._lock = FileLock(path) if path is not None else None

    def take(self) -> bool:
        """Take the lock if it is free, and return whether it is held now."""
        if self._lock is None:
            return True
        try:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except UNAVAILABLE:
            # The folder is not writable or has no locks: nobody else can hold one.
            self._lock = None
        return True

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.release()


def common_root(root: str) -> str:
    """Return where all studies beside this one keep their stages together.

    For the search of an arm, which is within a study, that is the place of the study.
    """
    folder, _ = split_last(root)
    study, name = split_last(folder)
    if name == ARMS_FOLDER and storage_at(study).exists(STUDY_FILE):
        folder, _ = split_last(study)
    return joined(folder, _COMMON)


def _name(stage: SharedStage, key: str) -> str:
    return f"{STAGES_FOLDER}/{stage}-{key}.pt"


def _checked(storage: Any, name: str) -> bytes:
    try:
        return strip_checksum(storage.read(name))
    except ValueError as error:
        raise ValueError(f"{storage.path(name)}: {error}") from error


def _copy(source: Any, target: Any, name: str) -> None:
    """Copy a file from one storage to another, as a whole; on one disk, as a hard link."""
    if source.is_local and target.is_local:
        link = Path(target.path(f"{name}.{os.getpid()}.link"))
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            os.link(source.path(name), link)
            link.replace(target.path(name))
        except OSError:  # Not every disk has hard links.
            link.unlink(missing_ok=True)
        else:
            return
    target.write(name, source.read(name))
