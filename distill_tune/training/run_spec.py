"""Specification of a run: what to run, and where its files are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import ComputePlace


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Specification of a run: what to run, and where its files are.

    Attributes:
        name: Name of the trial's checkpoints.
        root: The study directory or URI that holds its checkpoints and shared stages; empty: none.
        config: The trial's configuration.
        images: Training and validation images.
        device: Where to compute.
        is_sharing: Whether to adopt the shared stages that the study holds.
        is_stage_one_only: Whether the run ends after the classifier's stage.
        identity: Fields of a checkpoint, in plain data, that only this trial's checkpoints have.
    """

    name: str
    root: str
    config: TrialConfig
    images: ImageData
    device: torch.device
    is_sharing: bool = False
    is_stage_one_only: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)

    def stages(self) -> StageStore | None:
        """Return the shared stages of its study; None without a study."""
        if not self.root:
            return None
        return StageStore(self.root, self.images.digest, ComputePlace.here(self.device))
