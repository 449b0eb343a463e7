"""Trial of a search: one result for each epoch of stage 3, a model at every rung."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.trial import Report
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.rungs import rung_epochs
from distill_tune.study.study import Study
from distill_tune.training.kept_models import MODELS
from distill_tune.training.runner import Runner, RunSpec
from distill_tune.training.tensorboard.trial_summaries import TrialSummaries
from distill_tune.tuning.journal import is_logged
from distill_tune.tuning.sampling.proposals import trial_name

Watch = Callable[[Iterator[Report]], Iterator[Report]]


class SearchContext(NamedTuple):
    """Context that all trials of a search share.

    Attributes:
        study: The whole search.
        images: Its data, without the test split.
        root: Its directory or URI.
        is_sharing: Whether trials adopt the shared stages that the study holds.
    """

    study: Study
    images: ImageData
    root: str
    is_sharing: bool


class SearchTrial:
    """Runner of a proposal, epoch by epoch, from its newest sound checkpoint or from its start.

    Args:
        search: The context that all trials share.
        proposal: ``{"backbone": name, "number": n, "params": {path: value}}``.
        device: Where to compute.
        data: The images, if an earlier trial has put them on a device.

    Attributes:
        data: The images on the device.
    """

    def __init__(
        self,
        search: SearchContext,
        proposal: dict[str, Any],
        device: torch.device,
        data: DeviceData | None = None,
    ) -> None:
        self._search, self._proposal, self._name = search, proposal, trial_name(proposal)
        study, backbone, params = search.study, proposal["backbone"], proposal["params"]
        rungs = rung_epochs(study.min_epochs, study.max_epochs, study.search.reduction_factor)
        self._ends = {*rungs, study.max_epochs}
        spec = RunSpec(
            name=self._name,
            root=search.root,
            config=study.trial_config(backbone, params),
            images=search.images,
            device=device,
            checkpoint_share=study.search.checkpoint_share,
            is_sharing=search.is_sharing,
            identity={"proposal": proposal},
        )
        summaries = TrialSummaries(search.root, self._name, {"backbone": backbone, **params})
        self._runner = Runner(
            spec, _notes, summaries, data if data and data.device == device else None
        )
        self.data, self._reports = self._runner.trial.data, self._runner.reports()
        self._best, restored = self._runner.restored or (float("-inf"), {})
        is_unlogged = restored and not is_logged(search.root, proposal["number"], restored["epoch"])
        self._unlogged: dict[str, Any] = restored if is_unlogged else {}
        self._last_result: dict[str, Any] = {}

    def next_epoch(self, watch: Watch = iter) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Call this only after the driver has logged the epoch before, whose checkpoint may be written
        then. If it were written earlier, a kill in between would leave a trial that continues after
        an epoch missing from the log.

        Args:
            watch: Wraps the reports that are computed for the epoch.

        Raises:
            DivergedError: The trial cannot continue.
        """
        if self._last_result:
            self._runner.offer(self._last_result["epoch"], {"objective": self._best, "told": {}})
        if self._unlogged:
            self._last_result, self._unlogged = self._unlogged, {}
            warnings = [*self._last_result.get("warnings", ()), *self._remarks()["warnings"]]
            return self._last_result | {"warnings": warnings}
        seconds: defaultdict[str, float] = defaultdict(float)
        for report in watch(self._reports):
            seconds[f"seconds/{report.stage}"] += report.seconds
            if report.stage == "joint":
                self._last_result = self._result(report, dict(seconds))
                return dict(self._last_result)
        raise DivergedError("error", "the trial was over before this epoch")

    def _result(self, report: Report, seconds: Metrics) -> dict[str, Any]:
        study, runner = self._search.study, self._runner
        self._best = max(self._best, report.metrics[study.search.metric])
        is_end = report.step in self._ends
        runner.show_epoch(report, self._best, has_grid=is_end or report.step == 1)
        if is_end:
            # Written before this epoch is reported: a trial that has ended always has its model.
            folder = StudyDirectory(self._search.root).path(f"{MODELS}/{self._name}")
            origin = {"study": study.study, "trial": self._name}
            runner.write_model(folder, origin | {"params": self._proposal["params"]})
        stages = runner.fitness.metrics if report.step == 1 else {}
        result = {OBJECTIVE: self._best, "metrics": {**report.metrics, **stages, **seconds}}
        result |= {"epoch": report.step, "training_iteration": report.step}
        return result | {"done": report.step == report.num_steps, **self._remarks()}

    def fail(self) -> dict[str, list[str]]:
        """Mark the trial as failed; return the remaining remarks for the study's records."""
        # Its computation since the last report is not worth resuming from.
        self._last_result = {}
        return self._remarks()

    def _remarks(self) -> dict[str, list[str]]:
        """Return ``warnings`` and adopted ``stages`` for the study's records, each only once."""
        warnings = [f"{self._name}: {text}" for text in self._runner.take_warnings()]
        return {"warnings": warnings, "stages": self._runner.take_adopted()}

    def wait(self) -> None:
        """Wait for the checkpoint that is being written, and raise its error if it failed."""
        self._runner.wait()

    def save(self) -> None:
        """Write a checkpoint of the last epoch and its result: the driver may not have logged it.

        The checkpoint of a trial that has ended is deleted at the end of the session.
        """
        if self._last_result:
            self._runner.save(
                self._last_result["epoch"], {"objective": self._best, "told": self._last_result}
            )

    def discard(self) -> None:
        """Delete the checkpoints of a trial that has ended."""
        self._runner.discard()

    def close(self) -> None:
        """Wait for the checkpoint that is being written, and close the TensorBoard run."""
        self._runner.close()


def _notes(saved: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    return float(saved["objective"]), dict(saved["told"])
