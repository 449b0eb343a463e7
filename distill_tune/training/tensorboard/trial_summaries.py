"""TensorBoard content of a trial: curves, a row of HParams, grids of images."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distill_tune.distill.trial import Report
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import AGREEMENT, OBJECTIVE, WARMUP_GRID
from distill_tune.records.words.metric_names import ACCURACY
from distill_tune.training.tensorboard.writer import TensorBoard

if TYPE_CHECKING:
    from torch import Tensor

GRID_PER_CLASS = 8
"""Images per class, side by side, in a grid of synthetic images."""
_HPARAMS_METRICS = (OBJECTIVE, ACCURACY, "val/loss", "synthetic/diversity", AGREEMENT)


class TrialSummaries:
    """TensorBoard run of one trial.

    Args:
        root: The study directory or URI.
        name: The trial's.
        params: Its row in HParams; None = no row.
        metric: The metric that trials are compared by.
    """

    def __init__(
        self,
        root: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        metric: str = ACCURACY,
    ) -> None:
        self._writer = TensorBoard(StudyDirectory(root).path(f"tensorboard/{name}"), metric)
        self._params = params
        self._shown = tuple(dict.fromkeys((OBJECTIVE, metric, *_HPARAMS_METRICS)))
        if params is not None:
            self._writer.hparams(params, dict.fromkeys(self._shown, math.nan))

    def add(self, report: Report) -> None:
        """Write the metrics of a report."""
        self._writer.scalars(report.stage, report.step, report.metrics)

    def add_warmed(self, step: int, images: "Tensor") -> None:
        """Write a grid of the generator's images at the end of its warm-up."""
        self._writer.images(WARMUP_GRID, step, images, columns=GRID_PER_CLASS)

    def add_epoch(self, report: Report, best: float, images: "Tensor | None") -> None:
        """Write what an epoch of stage 3 adds beyond its metrics, and flush everything.

        Args:
            report: The epoch's.
            best: Best objective so far.
            images: A grid of synthetic images, ``GRID_PER_CLASS`` per class, or None.
        """
        if images is not None:
            self._writer.images("synthetic", report.step, images, columns=GRID_PER_CLASS)
        self._writer.flush()
        if self._params is None:
            return
        shown = {OBJECTIVE: best, **report.metrics}
        metrics = {name: shown.get(name, math.nan) for name in self._shown}
        self._writer.hparams(self._params, metrics, step=report.step)

    def add_picture(self, name: str, step: int, pixels: "Tensor") -> None:
        """Write one picture ``[height, width, 3]``, uint8."""
        self._writer.picture(name, step, pixels)

    def flush(self) -> None:
        """Flush everything that was written."""
        self._writer.flush()

    def close(self) -> None:
        """Close the run."""
        self._writer.close()
