"""The test split, sealed: nothing else opens it, and each look at it is in the log before."""

from typing import TYPE_CHECKING, Any

import ray

from distill_tune.confirm_log import READING
from distill_tune.datasets import Dataset, unsealed
from distill_tune.search.arm_run import ArmRun
from distill_tune.search.journal import Journal

if TYPE_CHECKING:
    from distill_tune.interfaces import Split


class SealedTest:
    """Hands out the test images for one reading at a time.

    Args:
        data: Where they come from.
        journal: Where readings are written down.
        reading: How often the models will have been read: 1 the first time.
    """

    def __init__(self, data: Dataset, journal: Journal, reading: int) -> None:
        self._data, self._journal, self.reading = data, journal, reading
        self._placed: Any = None

    def open(self, run: ArmRun) -> Any:
        """Write down that a run's model is read, then return where Ray keeps the test images."""
        self._journal.emit(
            READING,
            run=run.name,
            backbone=run.backbone,
            arm=run.arm.name,
            key=run.key,
            seed=run.config.seed,
            reading=self.reading,
        )
        if self._placed is None:
            with unsealed():
                split: Split = self._data.load_test()
            self._placed = ray.put((split.images.numpy(), split.labels.numpy()))
        return self._placed
