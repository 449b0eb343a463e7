"""Trial of a search: one result for each epoch of stage 3, models at rungs and at the end."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from distill_tune.distill.trial import Report, Reusable
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import OBJECTIVE, STAGE_ONE_OBJECTIVE
from distill_tune.study.extra_runs import arm_of, is_extra, proposed_config
from distill_tune.study.rungs import rung_epochs
from distill_tune.study.study import Study
from distill_tune.training.checkpoints.clock import CheckpointClock
from distill_tune.training.kept_models import MODELS, num_complete_models
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.runner import Runner
from distill_tune.training.tensorboard.trial_summaries import TrialSummaries
from distill_tune.tuning.sampling.proposals import trial_name

Watch = Callable[[Iterator[Report]], Iterator[Report]]


class SearchContext(NamedTuple):
    """Context that all trials of a search share.

    Attributes:
        study: The whole search.
        images: Its data, without the test split.
        root: Its directory or URI; empty: none, so no TensorBoard, models and shared stages.
        is_sharing: Whether trials adopt the shared stages that the study holds.
    """

    study: Study
    images: ImageData
    root: str
    is_sharing: bool


class SearchTrial:
    """Runner of a proposal, epoch by epoch, from a checkpoint or from its start.

    Args:
        search: The context that all trials share.
        proposal: ``{"backbone": name, "number": n, "params": {path: value}}``.
        device: Where to compute.
        reusable: What an earlier trial of this process has left on a device.
        given: The checkpoint to go on from; None: its own newest sound one in the study, if any.

    Attributes:
        reusable: What this trial leaves to the next one.
    """

    def __init__(
        self,
        search: SearchContext,
        proposal: dict[str, Any],
        device: torch.device,
        reusable: Reusable | None = None,
        given: Path | None = None,
    ) -> None:
        self._search, self._proposal, self._name = search, proposal, trial_name(proposal)
        study, arm = search.study, arm_of(proposal)
        self._clock = CheckpointClock(study.search.checkpoint_share)
        rungs = rung_epochs(study.min_epochs, study.max_epochs, study.search.reduction_factor)
        self._ends = {*rungs, study.max_epochs}
        spec = RunSpec(
            name=self._name,
            root=search.root,
            config=proposed_config(study, proposal),
            images=search.images,
            device=device,
            is_sharing=search.is_sharing and bool(search.root),
            is_stage_one_only=arm.is_stage_one_only,
            # Without a study, nobody asks whose a checkpoint is, and params need not be plain data.
            identity={"proposal": _identity(proposal)} if search.root else {},
        )
        self._last_stage = "classifier" if arm.is_stage_one_only else "joint"
        self._runner = Runner(
            spec,
            _best,
            self._summaries(),
            reusable if reusable and reusable.data.device == device else None,
            given,
        )
        self.reusable = self._runner.trial.reusable
        # Without a reference to this object, so that its memory is free as soon as it is dropped.
        self._reports = _all_reports(self._runner, is_extra_run=is_extra(proposal))
        restored = self._runner.restored
        self._best = float("-inf") if restored is None else restored
        self._stage_one = float("-inf")

    def _summaries(self) -> TrialSummaries | None:
        if not self._search.root:
            return None
        metric = self._search.study.search.metric
        if is_extra(self._proposal):
            # HParams compares configurations of the space.
            return TrialSummaries(self._search.root, self._name, metric=metric)
        params = {"backbone": self._proposal["backbone"], **self._proposal["params"]}
        return TrialSummaries(self._search.root, self._name, params, metric)

    def next_epoch(self, watch: Watch = iter) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Args:
            watch: Wraps the reports that are computed for the epoch.

        Returns:
            The epoch's numbers, and in ``should_checkpoint`` whether a checkpoint is due.

        Raises:
            DivergedError: The trial cannot continue.
        """
        self._clock.end()
        seconds: defaultdict[str, float] = defaultdict(float)
        for report in watch(self._reports):
            seconds[f"seconds/{report.stage}"] += report.seconds
            if report.stage == "classifier" and is_extra(self._proposal):
                self._stage_one = max(
                    self._stage_one, report.metrics[self._search.study.search.metric]
                )
            if report.stage == self._last_stage and self._is_epoch(report):
                return self._result(report, dict(seconds))
        raise DivergedError("error", "the trial was over before this epoch")

    def _is_epoch(self, report: Report) -> bool:
        """Return whether a report is a result: an epoch of stage 3, or the end of stage 1."""
        return report.stage == "joint" or report.step == report.num_steps

    def _result(self, report: Report, seconds: Metrics) -> dict[str, Any]:
        runner, is_joint = self._runner, report.stage == "joint"
        epoch = report.step if is_joint else 1
        value = report.metrics[self._search.study.search.metric] if is_joint else self._stage_one
        self._best = max(self._best, value)
        is_end = is_joint and report.step in self._ends
        runner.show_epoch(report, self._best, has_grid=is_joint and (is_end or epoch == 1))
        if is_end and self._search.root and not is_extra(self._proposal):
            self._offer_model(epoch)
        metrics = {**report.metrics, **self._first_metrics(epoch), **seconds}
        result = {OBJECTIVE: self._best, "metrics": metrics}
        result |= {"epoch": epoch, "training_iteration": epoch}
        is_over = report.step == report.num_steps
        is_due = not is_over and self._clock.is_due(runner.num_bytes)
        return result | {"done": is_over, "should_checkpoint": is_due, **self.remarks()}

    def _offer_model(self, epoch: int) -> None:
        """Write the model, unless it would be deleted if the trial were pruned after this epoch.

        This comes before the epoch is reported: whoever ends among the best always has a model.
        """
        study, directory = self._search.study, StudyDirectory(self._search.root)
        if epoch < study.max_epochs:
            ahead = num_complete_models(directory, self._name, study.max_epochs)
            if ahead >= study.search.num_kept:
                return
        origin = {"study": study.study, "trial": self._name, "params": self._proposal["params"]}
        self._runner.write_model(directory.path(f"{MODELS}/{self._name}"), origin)

    def _first_metrics(self, epoch: int) -> Metrics:
        """Return what only the first epoch reports: GAN stages and, in an extra run, stage 1."""
        if epoch > 1:
            return {}
        is_measured = self._stage_one > float("-inf")
        stage_one = {STAGE_ONE_OBJECTIVE: self._stage_one} if is_measured else {}
        return {**self._runner.fitness.metrics, **stage_one}

    def remarks(self) -> dict[str, list[str]]:
        """Return ``warnings`` and adopted ``stages`` for the study's records, each only once."""
        warnings = [f"{self._name}: {text}" for text in self._runner.take_warnings()]
        return {"warnings": warnings, "stages": self._runner.take_adopted()}

    def write(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder; its cost is the time until the next epoch."""
        self._clock.begin()
        self._runner.write(folder, {"objective": self._best})

    def close(self) -> None:
        """Close the TensorBoard run."""
        self._runner.close()


def _all_reports(runner: Runner[float], *, is_extra_run: bool) -> Iterator[Report]:
    """Run to the end; an extra run also yields the reports of its adopted stages."""
    if is_extra_run:
        for report in runner.adopted.reports:
            yield report._replace(seconds=0.0)
    yield from runner.reports()


def _identity(proposal: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint's proposal must be; an extra run's number is only a session's."""
    if not is_extra(proposal):
        return proposal
    return {name: value for name, value in proposal.items() if name != "number"}


def _best(saved: dict[str, Any]) -> float:
    if saved.get("told"):
        raise ValueError("an earlier version wrote it after an epoch that the log may lack")
    return float(saved["objective"])
