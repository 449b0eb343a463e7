"""A trial that computes on a CPU and takes it for a GPU, of which it uses little."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.cluster import gpu_memory
from distill_tune.tuning import trainable
from distill_tune.tuning.sampling.proposals import trial_name
from distill_tune.tuning.trainable import DistillTrial


class FakeGpuTrial(DistillTrial):
    """Stands for the trainable in a worker that imports this."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], **parameters: Any
    ) -> None:
        patch = pytest.MonkeyPatch()
        patch.setattr(trainable, "device_of", lambda _: torch.device("cpu"))
        patch.setattr(gpu_memory, "memory_in_use", lambda: (2 * 2**30, 5 * 2**30))
        patch.setattr(gpu_memory, "utilisation_reader", lambda: lambda: 0.3)
        super().setup(config, **parameters)

    @property
    def share(self) -> float:
        """What it holds of a GPU."""
        held = self.trial_resources
        return held.required_resources.get("GPU", 0) if held else 0

    def step(self) -> dict[str, Any]:
        share = self.share
        result = super().step()
        result["metrics"]["gpu"] = share
        return result


class MeetingTrial(FakeGpuTrial):
    """Goes on with a share of a GPU only once another trial has one too, or after a minute."""

    def step(self) -> dict[str, Any]:
        if self.share < 1:
            place = Path(self._search.root) / "meeting"
            place.mkdir(exist_ok=True)
            (place / trial_name(self._proposal)).touch()
            until = time.monotonic() + 60
            while len(list(place.iterdir())) < 2 and time.monotonic() < until:
                time.sleep(0.05)
        return super().step()
