"""Life of a trial: start or restore, reports, checkpoints, TensorBoard, model and failures.

A search, a confirmation and ``train`` only add when checkpoints are offered and where reports go.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from distill_tune import __version__
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.monitoring.gan_policies import is_unfit
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.model import model_files, write_model
from distill_tune.records.fitness_text import FitnessWatch
from distill_tune.training.checkpoint_writer import CheckpointWriter
from distill_tune.training.checkpoints import local_copies, read_checkpoint
from distill_tune.training.memory import is_out_of_memory
from distill_tune.training.shared_stages import Adopted, adopt_stages
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import ComputePlace
from distill_tune.training.tensorboard.trial_summaries import GRID_PER_CLASS, TrialSummaries

Notes = TypeVar("Notes")
"""A caller's own content of a checkpoint, beside the trial's state."""

# Raised when the state of another trial is loaded.
_FOREIGN = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Specification of a run: what to run, and where its files are.

    Attributes:
        name: Name of the trial's checkpoints.
        root: The study directory or URI that holds its checkpoints and shared stages.
        config: The trial's configuration.
        images: Training and validation images.
        device: Where to compute.
        checkpoint_share: Largest share of the time that checkpoints may take, in (0, 1].
        is_sharing: Whether to adopt the shared stages that the study holds.
        is_stage_one_only: Whether the run ends after the classifier's stage.
        identity: Fields of a checkpoint, in plain data, that only this trial's checkpoints have.
    """

    name: str
    root: str
    config: TrialConfig
    images: ImageData
    device: torch.device
    checkpoint_share: float
    is_sharing: bool = False
    is_stage_one_only: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)


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
        data: The images on the device, if an earlier trial has put them there.

    Attributes:
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
        data: DeviceData | None = None,
    ) -> None:
        self._spec, self._read, self._summaries = spec, read, summaries
        self._warnings: list[str] = []
        self._checkpoints = CheckpointWriter(spec.root, spec.name, spec.checkpoint_share)
        self.trial = Trial(spec.config, spec.images, spec.device, data)
        self.restored = self._restore()
        self.adopted = self._adopt()
        self.fitness = FitnessWatch(has_warned=is_unfit(self.trial.state.gan.warmed))
        for report in self.adopted.reports:
            # The study has already been warned about its shared stages.
            self.fitness.take(report)
            if summaries is not None:
                summaries.add(report)

    def _restore(self) -> Notes | None:
        is_any = False
        with tempfile.TemporaryDirectory() as scratch:
            for folder in local_copies(self._spec.root, self._spec.name, Path(scratch)):
                is_any = True
                try:
                    return self._load(folder)
                except ValueError as error:
                    if is_out_of_memory(error):
                        raise
                    self._warnings.append(f"damaged checkpoint passed over: {error}")
        if is_any:
            self._warnings.append("no checkpoint is sound; the training starts over")
        return None

    def _load(self, folder: Path) -> Notes:
        spec = self._spec
        saved = read_checkpoint(folder, spec.device)
        if any(saved.get(name) != value for name, value in spec.identity.items()):
            raise ValueError(f"{folder}: got a checkpoint of another configuration")
        try:
            notes = self._read(saved)
            self.trial.load_state_dict(saved["trial"])
        except _FOREIGN as error:
            if is_out_of_memory(error):
                raise
            # The trial may now hold parts of the other state.
            self.trial = Trial(spec.config, spec.images, spec.device, self.trial.data)
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{folder}: got the state of something else ({reason})") from error
        return notes

    def _adopt(self) -> Adopted:
        spec = self._spec
        if self.restored is not None or not spec.is_sharing:
            return Adopted([], [], [])
        store = StageStore(spec.root, spec.images.digest, ComputePlace.here(spec.device))
        adopted = adopt_stages(self.trial, store)
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
        if not self._spec.is_stage_one_only:
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
            is_drawn = has_grid and self._spec.config.joint.has_gan
            images = self.trial.sample_images(GRID_PER_CLASS) if is_drawn else None
            self._summaries.add_epoch(report, best, images)

    def write_model(
        self, folder: str, origin: Mapping[str, Any], metrics: Metrics | None = None
    ) -> list[str]:
        """Write the trial's model and return the names of its files.

        Args:
            folder: A path or URI.
            origin: Where its configuration comes from, in plain data.
            metrics: Metrics of its weights; None: their accuracy, which the trial knows.
        """
        files = model_files(self.trial, self._spec.images, origin, metrics)
        write_model(folder, files)
        return list(files)

    def offer(self, number: int, notes: Mapping[str, Any]) -> bool:
        """Write a checkpoint if one is due, and return whether it is being written.

        Args:
            number: Number of the checkpoint; a higher one is newer.
            notes: What ``read`` reads, as tensors and plain data.

        Raises:
            Exception: The last checkpoint failed, such as with an OSError on a full disk.
        """
        return self._checkpoints.offer(number, partial(self._content, notes))

    def save(self, number: int, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint now. Errors are ignored: the one before still exists."""
        self._checkpoints.save(number, partial(self._content, notes))

    def _content(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "trial": self.trial.state_dict(),
            "digest": self._spec.images.digest,
            "versions": {"distill-tune": __version__, "torch": str(torch.__version__)},
            **self._spec.identity,
            **notes,
        }

    def wait(self) -> None:
        """Wait for the checkpoint that is being written, and raise its error if it failed."""
        self._checkpoints.wait()

    def discard(self) -> None:
        """Delete the checkpoints of a trial that has ended."""
        self._checkpoints.discard()

    def close(self) -> None:
        """Wait for the checkpoint that is being written, and close the TensorBoard run."""
        self._checkpoints.close()
        if self._summaries is not None:
            self._summaries.close()
