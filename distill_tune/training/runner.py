"""Life of a trial: start or restore, reports, checkpoints, TensorBoard, model and failures.

A search, a confirmation and ``train`` only add when checkpoints are written and where reports go.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from distill_tune import __version__
from distill_tune.distill.monitoring.gan_policies import is_unfit
from distill_tune.distill.trial import Report, Reusable, Trial
from distill_tune.interfaces import Metrics
from distill_tune.model import model_files, write_model
from distill_tune.records.words.fitness_text import FitnessWatch
from distill_tune.training.checkpoints.content import num_bytes, read_checkpoint, write_checkpoint
from distill_tune.training.checkpoints.folders import local_copies
from distill_tune.training.checkpoints.shared_state import SharedState
from distill_tune.training.memory import is_out_of_memory
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.shared_stages import Adopted, adopt_stages
from distill_tune.training.tensorboard.trial_summaries import GRID_PER_CLASS, TrialSummaries

Notes = TypeVar("Notes")
"""A caller's own content of a checkpoint, beside the trial's state."""

# Raised when the state of another trial is loaded.
_FOREIGN = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)


class Runner(Generic[Notes]):
    """Runner of one trial, from its newest sound checkpoint or else from its start.

    A checkpoint that is damaged, truncated or another trial's is skipped with a warning. A trial
    without a checkpoint adopts the shared stages that its study holds.

    Args:
        spec: What to run.
        read: Returns the caller's notes in a checkpoint. A ValueError, KeyError, TypeError,
            AttributeError or RuntimeError means that the checkpoint is another trial's; any other
            error is passed on.
        summaries: The trial's TensorBoard run, which the runner closes; None = no TensorBoard.
        reusable: What an earlier trial of this process has left on the device.
        given: A checkpoint to go on from, whoever wrote it. If it is damaged, one of the trial's
            own in the study is taken instead.

    Attributes:
        spec: As given.
        trial: The trial.
        restored: The notes of the checkpoint that it resumes from; None = it starts over.
        adopted: What it took from the study; empty for a restored trial.
        fitness: Its generator's fitness, adopted stages included.
    """

    def __init__(
        self,
        spec: RunSpec,
        read: Callable[[dict[str, Any]], Notes],
        summaries: TrialSummaries | None = None,
        reusable: Reusable | None = None,
        given: Path | None = None,
    ) -> None:
        self.spec, self._read, self._summaries = spec, read, summaries
        self._warnings: list[str] = []
        self._stages = spec.stages()
        self._shared = SharedState(self._stages)
        self.trial = Trial(spec.config, spec.images, spec.device, reusable)
        self.restored = self._restore(given)
        self.adopted = self._adopt()
        self.fitness = FitnessWatch(has_warned=is_unfit(self.trial.state.gan.warmed))
        for report in self.adopted.reports:
            # The study has already been warned about its shared stages.
            self.fitness.take(report)
            if summaries is not None:
                summaries.add(report)

    def _restore(self, given: Path | None) -> Notes | None:
        if given is not None:
            try:
                return self._load(given, {})
            except ValueError as error:
                if is_out_of_memory(error) or not self.spec.root:
                    raise
        return self._restore_own() if self.spec.root else None

    def _restore_own(self) -> Notes | None:
        is_any = False
        with tempfile.TemporaryDirectory() as scratch:
            for folder in local_copies(self.spec.root, self.spec.name, Path(scratch)):
                is_any = True
                try:
                    return self._load(folder, self.spec.identity)
                except ValueError as error:
                    if is_out_of_memory(error):
                        raise
                    self._warnings.append(f"damaged checkpoint passed over: {error}")
        if is_any:
            self._warnings.append("no checkpoint is sound; the training starts over")
        return None

    def _load(self, folder: Path, identity: Mapping[str, Any]) -> Notes:
        spec = self.spec
        saved = read_checkpoint(folder, spec.device)
        if any(saved.get(name) != value for name, value in identity.items()):
            raise ValueError(f"{folder}: got a checkpoint of another configuration")
        try:
            notes = self._read(saved)
            shared = SharedState(self._stages, str(saved.get("shared", "")))
            self.trial.load_state_dict(shared.whole(saved["trial"], spec.device))
        except _FOREIGN as error:
            if is_out_of_memory(error):
                raise
            # The trial may now hold parts of the other state.
            self.trial = Trial(spec.config, spec.images, spec.device, self.trial.reusable)
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{folder}: got the state of something else ({reason})") from error
        self._shared = shared
        return notes

    def _adopt(self) -> Adopted:
        spec = self.spec
        if self.restored is not None or not spec.is_sharing or self._stages is None:
            return Adopted([], [], [])
        adopted = adopt_stages(self.trial, self._stages)
        key = self._stages.key("classifier", spec.config)
        if key in adopted.keys:
            self._shared = SharedState(self._stages, key)
        self._warnings += adopted.warnings
        return adopted

    def reports(self) -> Iterator[Report]:
        """Run to the end and yield every report; a checkpoint may be made at each of them.

        Raises:
            DivergedError: The trial cannot continue.
        """
        try:
            for report in self._own_reports():
                self._take(report)
                yield report
        except Exception:
            if self._summaries is not None:
                self._summaries.flush()
            raise

    def _take(self, report: Report) -> None:
        if self._summaries is not None:
            self._summaries.add(report)
            if report.stage == "warmup" and report.step == report.num_steps:
                self._summaries.add_warmed(report.step, self.trial.sample_images(GRID_PER_CLASS))
        warning = self.fitness.take(report)
        self._warnings += [warning] if warning else []

    def _own_reports(self) -> Iterator[Report]:
        if not self.spec.is_stage_one_only:
            yield from self.trial.run()
        elif self.trial.state.stage == "classifier":
            yield from self.trial.run_stage("classifier")

    def take_warnings(self) -> list[str]:
        """Return the warnings since the last call, about checkpoints, stages and the generator."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def take_adopted(self) -> list[str]:
        """Return the keys of the adopted stages, once."""
        keys, self.adopted = self.adopted.keys, Adopted([], [], [])
        return keys

    def show_epoch(self, report: Report, best: float, *, has_grid: bool) -> None:
        """Write what an epoch of stage 3 adds beyond its metrics to TensorBoard, and flush it.

        Args:
            report: The epoch's.
            best: Best objective so far.
            has_grid: Whether to add a grid of synthetic images, if the trial has a generator.
        """
        if self._summaries is not None:
            is_drawn = has_grid and self.spec.config.joint.has_gan
            images = self.trial.sample_images(GRID_PER_CLASS) if is_drawn else None
            self._summaries.add_epoch(report, best, images)

    def write_model(
        self, folder: str, origin: Mapping[str, Any], metrics: Metrics | None = None
    ) -> list[str]:
        """Write the trial's model and return the names of its files.

        Args:
            folder: A path or URI.
            origin: Where its configuration comes from, in plain data.
            metrics: Metrics of its weights; None: that by which they were kept.
        """
        files = model_files(self.trial, self.spec.images, origin, metrics)
        write_model(folder, files)
        return list(files)

    def write(self, folder: Path, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint of the present state.

        Args:
            folder: An empty folder.
            notes: What ``read`` reads, as tensors and plain data.
        """
        write_checkpoint(folder, self._content(notes))

    def num_bytes(self) -> int:
        """Return the size of a checkpoint of the present state."""
        return num_bytes(self._shared.without(self.trial.state_dict()))

    def _content(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "trial": self._shared.without(self.trial.state_dict()),
            "shared": self._shared.key,
            "digest": self.spec.images.digest,
            "versions": {"distill-tune": __version__, "torch": str(torch.__version__)},
            **self.spec.identity,
            **notes,
        }

    def close(self) -> None:
        """Close the TensorBoard run."""
        if self._summaries is not None:
            self._summaries.close()
