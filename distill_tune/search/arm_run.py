"""One arm with one fresh seed, trained from nothing, and its model read on the test split."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from distill_tune.arms import Arm
from distill_tune.checkpoint_writer import CheckpointWriter, on_host
from distill_tune.checkpoints import local_copies, read_checkpoint
from distill_tune.distill.state import copy_weights
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError
from distill_tune.interfaces import plain
from distill_tune.records import StudyDirectory
from distill_tune.search.nodes import begun
from distill_tune.search.placement import PlacedImages
from distill_tune.search.portraits import Picture, portraits
from distill_tune.search.sight import wait_for_study
from distill_tune.tracking import TensorBoard
from distill_tune.training.devices import device_of
from distill_tune.training.memory import is_out_of_memory, memory_detail
from distill_tune.training.shared_stages import adopt_stages
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import Place

_CURVES = {"val/accuracy", "val/loss", "synthetic/diversity", "synthetic/border_share"}


class ArmRun(NamedTuple):
    """What is to be trained.

    Attributes:
        name: Of its checkpoints and its TensorBoard run.
        phase: ``selection`` or ``evidence``.
        backbone: Name of the backbone.
        arm: Which arm.
        trial: Number of the trial that is confirmed.
        config: The arm's, with the fresh seed and, where they are redrawn, images of its own.
        key: Digest of what all runs of the arm have in common.
        is_tuned: Whether the arm had a search of its own.
        is_concerned: Whether anything that was searched makes a difference to it.
        is_redrawn: Whether its training and validation images are others than the search's.
        is_portrayed: Whether figures are drawn of it.
    """

    name: str
    phase: str
    backbone: str
    arm: Arm
    trial: int
    config: TrialConfig
    key: str
    is_tuned: bool
    is_concerned: bool
    is_redrawn: bool
    is_portrayed: bool = False


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        status: ``complete`` or ``failed``.
        value: Highest value of the search's metric over the epochs; None if it failed.
        seconds: Stage to seconds, those of an adopted stage included.
        curves: Metric to its value after each epoch of stage 3, of the few that figures show.
        agreement: The newest of its generator, in [0, 1]; None without a GAN, and where the run
            ended before it was measured.
    """

    status: str
    reason: str
    detail: str
    value: float | None
    seconds: dict[str, float]
    curves: dict[str, list[float]]
    agreement: float | None = None


class Ground(NamedTuple):
    """What all runs of a study have in common.

    Attributes:
        root: The study directory or URI.
        metric: The search's.
        checkpoint_share: As for a trial.
        bundle: Resources of a run.
        is_sharing: Whether stages are taken over from the study.
    """

    root: str
    metric: str
    checkpoint_share: float
    bundle: dict[str, float]
    is_sharing: bool


def train_arm(run: ArmRun, placed: PlacedImages, ground: Ground) -> Iterator[Any]:
    """Train an arm, from its newest sound checkpoint if there is one.

    Yields:
        Where it runs; reports; figures, if there are to be any; then the :class:`Outcome`; at
        last, of a run that is complete, its classifier's weights in main memory.
    """
    yield begun()
    wait_for_study(ground.root)
    device = device_of(ground.bundle)
    running = _Running(run, placed, ground, device)
    try:
        yield from running.reports()
        if run.is_portrayed:
            yield from running.pictures()
    except DivergedError as error:
        yield running.outcome("failed", error.reason, error.detail)
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        share = ground.bundle.get("GPU", 1)
        detail = memory_detail(run.config, str(error), share=share)
        yield running.outcome("failed", "out_of_memory", detail)
        return
    finally:
        running.close()
    yield running.outcome("complete")
    yield on_host(copy_weights(running.trial.state.classifier))


class _Running:
    """A run under way."""

    def __init__(
        self, run: ArmRun, placed: PlacedImages, ground: Ground, device: torch.device
    ) -> None:
        self._run, self._ground = run, ground
        self._images = placed.images()
        self._writer = CheckpointWriter(ground.root, run.name, ground.checkpoint_share)
        self._board = TensorBoard(StudyDirectory(ground.root).path(f"tensorboard/{run.name}"))
        self._value: float | None = None
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._curves: dict[str, list[float]] = {}
        self.trial = Trial(run.config, self._images, device)

    def reports(self) -> Iterator[Report]:
        """Train to the end."""
        if not self._go_on() and self._ground.is_sharing:
            store = StageStore(
                self._ground.root, self._images.digest, Place.here(self.trial.data.device)
            )
            for report in adopt_stages(self.trial, store).reports:
                self._take(report)
        for report in self._own_reports():
            self._take(report)
            if report.stage == "joint":
                self._writer.offer(report.step, self._checkpoint)
            yield report

    def pictures(self) -> Iterator[Picture]:
        """Draw what figures show of the trained trial; into its TensorBoard run too."""
        for picture in portraits(self.trial, self._images.classes):
            self._board.picture(picture.name, self.trial.state.joint_epoch, picture.pixels)
            yield picture

    def _own_reports(self) -> Iterator[Report]:
        if not self._run.arm.is_stage_one_only:
            yield from self.trial.run()
        elif self.trial.state.stage == "classifier":
            yield from self.trial.run_stage("classifier")

    def _take(self, report: Report) -> None:
        self._seconds[report.stage] += report.seconds
        self._board.scalars(report.stage, report.step, report.metrics)
        value = report.metrics.get(self._ground.metric)
        counts = "classifier" if self._run.arm.is_stage_one_only else "joint"
        if value is not None and report.stage == counts:
            self._value = value if self._value is None else max(self._value, value)
        if report.stage == "joint":
            for name in _CURVES & set(report.metrics):
                self._curves.setdefault(name, []).append(report.metrics[name])

    def _go_on(self) -> bool:
        """Continue from the newest sound checkpoint; tell whether there is one."""
        with tempfile.TemporaryDirectory() as scratch:
            copies = local_copies(self._ground.root, self._run.name, Path(scratch))
            for folder in copies:
                try:
                    saved = read_checkpoint(folder, self.trial.data.device)
                except ValueError:
                    continue
                if saved.get("config") == plain(self._run.config):
                    self.trial.load_state_dict(saved["trial"])
                    self._value, self._curves = saved["value"], saved["curves"]
                    self._seconds.update(saved["seconds"])
                    return True
        return False

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "trial": self.trial.state_dict(),
            "value": self._value,
            "seconds": dict(self._seconds),
            "curves": self._curves,
            "config": plain(self._run.config),
        }

    def outcome(self, status: str, reason: str = "", detail: str = "") -> Outcome:
        """Return what has become of the run; what failed has no value."""
        value = self._value if status == "complete" else None
        seconds, agreement = dict(self._seconds), self._agreement()
        return Outcome(status, reason, detail, value, seconds, self._curves, agreement)

    def _agreement(self) -> float | None:
        """Return that of the generator as it is now, if the arm has one."""
        # An arm that uses no GAN may have taken over a warmed one with the study's stages.
        if self._run.arm.is_stage_one_only or not self._run.config.joint.has_gan:
            return None
        newest = self.trial.state.gan.newest
        return None if newest is None else newest.agreement

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.close()
        self._board.close()
