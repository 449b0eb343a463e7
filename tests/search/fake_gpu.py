"""A trial that computes on a CPU and takes it for a GPU, of which it uses little."""

from typing import Any

import pytest
import torch

from distill_tune.search import gpu_use, trainable
from distill_tune.search.trainable import DistillTrial


class FakeGpuTrial(DistillTrial):
    """Stands for the trainable in a worker that imports this."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], **parameters: Any
    ) -> None:
        patch = pytest.MonkeyPatch()
        patch.setattr(trainable, "device_of", lambda _: torch.device("cpu"))
        patch.setattr(gpu_use, "memory_in_use", lambda: (2 * 2**30, 5 * 2**30))
        patch.setattr(gpu_use, "utilisation_reader", lambda: lambda: 0.3)
        super().setup(config, **parameters)

    def step(self) -> dict[str, Any]:
        held = self.trial_resources
        share = held.required_resources.get("GPU", 0) if held else 0
        result = super().step()
        result["metrics"]["gpu"] = share
        return result
