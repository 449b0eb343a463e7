"""One run of a confirmation: an arm trained from scratch with a fresh seed."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.cluster.study_folder_check import wait_for_study
from distill_tune.confirmation.figures import Picture, portraits
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.by_class import synthetic_results
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData
from distill_tune.records.confirm_log import EVIDENCE
from distill_tune.study.arms import Arm
from distill_tune.training.checkpoints.runs import RunCheckpoints
from distill_tune.training.devices import device_of
from distill_tune.training.memory import named_failures
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.runner import Runner
from distill_tune.training.stages import identity
from distill_tune.training.tensorboard.trial_summaries import TrialSummaries

_CURVES = {"val/accuracy", "val/loss", "synthetic/diversity", "synthetic/border_share"}


class ArmRun(NamedTuple):
    """A run to train.

    Attributes:
        name: Name of its checkpoints and its TensorBoard run.
        phase: ``selection``, ``evidence`` or ``figures``.
        backbone: Name of the backbone.
        arm: The arm that is trained.
        trial: Number of the confirmed trial.
        config: The arm's configuration, with the fresh seed and, if redrawn, its own images.
        key: Digest of what all runs of the arm have in common.
        is_tuned: Whether the arm had its own search.
        is_concerned: Whether any searched param affects the arm.
        is_redrawn: Whether its training and validation images differ from the search's.
        is_portrayed: Whether figures of the run are drawn.
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
    """Outcome of a run.

    Attributes:
        status: ``complete`` or ``failed``.
        value: Highest value of the search's metric over the epochs; None if the run failed.
        seconds: Stage to seconds, including adopted stages.
        curves: Metric to its values after each epoch of stage 3, for the few that figures show.
        agreement: See ``RunRecord``, like what follows.
    """

    status: str
    reason: str
    detail: str
    value: float | None
    seconds: dict[str, float]
    curves: dict[str, list[float]]
    agreement: float | None = None
    class_agreements: tuple[float, ...] = ()
    class_diversities: tuple[float | None, ...] = ()


class RunSettings(NamedTuple):
    """Settings that all runs of a study share.

    Attributes:
        root: Directory or URI of the study.
        metric: Metric of the search.
        checkpoint_share: Largest share of the time that checkpoints may take, as for a trial.
        bundle: Resources of a run.
        is_sharing: Whether stages are taken over from the study.
    """

    root: str
    metric: str
    checkpoint_share: float
    bundle: dict[str, float]
    is_sharing: bool


def train_arm(run: ArmRun, placed: PlacedImages, settings: RunSettings) -> Iterator[Any]:
    """Train an arm, starting from its newest valid checkpoint if there is one.

    Yields:
        Warnings and reports; figures, if requested; then the :class:`Outcome`; finally, if the run
        is complete, its classifier's weights in main memory.
    """
    wait_for_study(settings.root)
    device, running = device_of(settings.bundle), None
    try:
        with named_failures(run.config, gpu_share=settings.bundle.get("GPU", 1)):
            running = ArmTrial(run, placed.images(), settings, device)
            yield from running.events()
            outcome = running.completed()
    except DivergedError as error:
        if running is None:
            yield Outcome("failed", error.reason, error.detail, None, {}, {})
        else:
            yield running.outcome("failed", error.reason, error.detail)
        return
    finally:
        if running is not None:
            running.close()
    yield outcome
    weights = copy_weights(running.trial.state.classifier)
    yield {name: tensor.cpu() for name, tensor in weights.items()}


class _Notes(NamedTuple):
    """Records that a run keeps in its checkpoints.

    Attributes:
        value: Highest value of the search's metric so far.
        seconds: Stage to seconds.
        curves: Metric to its values.
        number: Number of the checkpoint.
    """

    value: float | None
    seconds: dict[str, float]
    curves: dict[str, list[float]]
    number: int

    @classmethod
    def read(cls, saved: dict[str, Any]) -> "_Notes":
        # Checkpoints of earlier versions are numbered by epochs of stage 3.
        number = saved.get("number", saved["trial"]["joint_epoch"])
        return cls(saved["value"], saved["seconds"], saved["curves"], int(number))


class ArmTrial:
    """A run in progress."""

    def __init__(
        self, run: ArmRun, images: ImageData, settings: RunSettings, device: torch.device
    ) -> None:
        self._run, self._settings, self._classes = run, settings, images.classes
        spec = RunSpec(
            name=run.name,
            root=settings.root,
            config=run.config,
            images=images,
            device=device,
            is_sharing=settings.is_sharing,
            is_stage_one_only=run.arm.is_stage_one_only,
            identity={"config": identity(run.config)},
        )
        self._summaries = TrialSummaries(settings.root, run.name, metric=settings.metric)
        self._runner = Runner(spec, _Notes.read, self._summaries)
        self._checkpoints = RunCheckpoints(self._runner, settings.checkpoint_share)
        notes = self._runner.restored or _Notes(None, {}, {}, 0)
        self._value, self._curves, self._number = notes.value, notes.curves, notes.number
        self._seconds = defaultdict(float, notes.seconds)
        for report in self._runner.adopted.reports:
            self._take(report)

    @property
    def trial(self) -> Trial:
        """The trial that is trained."""
        return self._runner.trial

    def events(self) -> Iterator[str | Report | Picture]:
        """Train to the end, yielding warnings and reports, then any figures."""
        for report in self.reports():
            yield from self._warnings()
            yield report
        yield from self._warnings()
        if self._run.is_portrayed:
            yield from self.pictures()

    def _warnings(self) -> Iterator[str]:
        yield from (f"{self._run.name}: {text}" for text in self._runner.take_warnings())

    def reports(self) -> Iterator[Report]:
        """Train to the end, yielding reports."""
        for report in self._runner.reports():
            self._take(report)
            self._number += 1
            self._checkpoints.offer(self._number, self._notes())
            yield report

    def pictures(self) -> Iterator[Picture]:
        """Draw the figures of the trained trial and add them to its TensorBoard run."""
        for picture in portraits(self.trial, self._classes):
            self._summaries.add_picture(picture.name, self.trial.state.joint_epoch, picture.pixels)
            yield picture

    def _take(self, report: Report) -> None:
        self._seconds[report.stage] += report.seconds
        value = report.metrics.get(self._settings.metric)
        counts = "classifier" if self._run.arm.is_stage_one_only else "joint"
        if value is not None and report.stage == counts:
            self._value = value if self._value is None else max(self._value, value)
        if report.stage == "joint":
            for name in {*_CURVES, self._settings.metric} & set(report.metrics):
                self._curves.setdefault(name, []).append(report.metrics[name])

    def _notes(self) -> dict[str, Any]:
        seconds = dict(self._seconds)
        return _Notes(self._value, seconds, self._curves, self._number)._asdict()

    def outcome(self, status: str, reason: str = "", detail: str = "") -> Outcome:
        """Return the outcome of the run; a failed run has no value."""
        value = self._value if status == "complete" else None
        seconds, agreement = dict(self._seconds), self._agreement()
        return Outcome(status, reason, detail, value, seconds, self._curves, agreement)

    def completed(self) -> Outcome:
        """Return the outcome of a run that is complete."""
        found = self.outcome("complete")
        if self._run.phase != EVIDENCE or not self._has_gan:
            return found
        agreements, diversities = zip(*synthetic_results(self.trial.trainer), strict=True)
        return found._replace(class_agreements=agreements, class_diversities=diversities)

    @property
    def _has_gan(self) -> bool:
        # An arm that uses no GAN may have adopted a warmed-up one with the study's stages.
        return not self._run.arm.is_stage_one_only and self._run.config.joint.has_gan

    def _agreement(self) -> float | None:
        """Return the generator's current agreement; None if the arm has no GAN."""
        if not self._has_gan:
            return None
        newest = self.trial.state.gan.newest
        return None if newest is None else newest.agreement

    def close(self) -> None:
        """Close the TensorBoard run."""
        self._runner.close()
