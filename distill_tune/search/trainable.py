"""The trainable: a thin adaptor of a trial to Ray. One step = one epoch of stage 3."""

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune

from distill_tune import __version__
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.records import StudyDirectory
from distill_tune.search.checkpoints import local_copies, read_checkpoint, write_checkpoint
from distill_tune.search.devices import device_of
from distill_tune.search.gpu_use import GpuMeter
from distill_tune.search.memory import is_out_of_memory, memory_detail
from distill_tune.search.models import write_model
from distill_tune.search.scheduler import OBJECTIVE, rung_epochs
from distill_tune.search.stages import adopt_stages
from distill_tune.study import Study
from distill_tune.tracking import TensorBoard
from distill_tune.training import model_files

_GRID_PER_CLASS = 8
_HPARAMS_METRICS = (OBJECTIVE, "val/accuracy", "val/loss", "synthetic/diversity")


class DistillTrial(tune.Trainable):
    """One configuration of GAN distillation as a ``ray.tune.Trainable``.

    ``config`` holds ``backbone``, ``number`` and ``params``; study and data come as parameters
    (:func:`ray.tune.with_parameters`), so that they are placed once and not once per trial.
    """

    def setup(
        self,
        config: dict[str, Any],
        study: Study | None = None,
        images: ImageData | None = None,
        root: str = "",
    ) -> None:
        """Build the trial, with the shared stages that the study holds.

        Args:
            config: ``{"backbone": name, "number": n, "params": {path: value}}``.
            study: The whole search.
            images: Its data, without the test split.
            root: Its directory or URI.
        """
        if study is None or images is None:
            raise TypeError("study and images are given by tune.with_parameters")
        self._study, self._images, self._root, self._meter = study, images, root, GpuMeter()
        self._ends = {
            *rung_epochs(study.min_epochs, study.max_epochs, study.search.reduction_factor),
            study.max_epochs,
        }
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._proposal, self._name = config, trial_name(config)
        self._warnings: list[str] = []
        self._board: TensorBoard | None = None
        self._refusal: Exception | None = None
        try:
            self._build(config)
        except Exception as error:  # noqa: BLE001 - it is raised by the first step
            # Raised here, Ray would end the trial without the retries that it has.
            self._refusal = error

    def _build(self, config: dict[str, Any]) -> None:
        self._config = self._study.trial_config(config["backbone"], config["params"])
        self._bundle = getattr(self.trial_resources, "required_resources", {})
        self._device = device_of(self._bundle)
        self._meter.begin(config["backbone"], self._study.resources, self._bundle)
        reports, damaged = self._begin_trial()
        self._warnings += [f"{self._name}: {text}" for text in damaged]
        board = TensorBoard(StudyDirectory(self._root).path(f"tensorboard/{self._name}"))
        self._board = board
        self._hparams = {"backbone": config["backbone"], **config["params"]}
        board.hparams(self._hparams, dict.fromkeys(_HPARAMS_METRICS, math.nan))
        for report in reports:
            board.scalars(report.stage, report.step, report.metrics)
        self._go_on(damaged=None)

    def _begin_trial(self) -> tuple[list[Report], list[str]]:
        """Make the trial afresh; return what the shared stages reported, and which are damaged."""
        self._best = float("-inf")
        self._trial = Trial(self._config, self._images, self._device)
        told = adopt_stages(self._trial, self._images.digest, self._root)
        self._reports: Iterator[Report] = self._trial.run()
        return told

    def _go_on(self, *, damaged: str | None) -> None:
        """Continue from the newest sound checkpoint of all sessions, if there is one.

        Args:
            damaged: A folder that was tried already, and its damage told of.
        """
        none_is_sound = damaged is not None
        with tempfile.TemporaryDirectory() as scratch:
            for folder in local_copies(self._root, self._name, Path(scratch)):
                if str(folder) == damaged:
                    continue
                try:
                    self._restore(folder)
                except ValueError as error:
                    self._tell_of_damage(error)
                    none_is_sound = True
                else:
                    return
        if none_is_sound:
            self._warnings.append(f"{self._name}: no checkpoint is sound, it starts anew")

    def _tell_of_damage(self, error: ValueError) -> None:
        self._warnings.append(f"{self._name}: damaged checkpoint passed over: {error}")

    def _restore(self, folder: Path) -> None:
        saved = read_checkpoint(folder, self._trial.data.device)
        if saved.get("proposal") != self._proposal:
            raise ValueError(f"{folder}: got a checkpoint of another configuration")
        try:
            self._trial.load_state_dict(saved["trial"])
            self._best = float(saved["objective"])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            self._begin_trial()
            raise ValueError(f"{folder}: got the state of something else ({error})") from error
        self._reports = self._trial.run()

    def step(self) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Returns:
            ``objective``, the best value so far, and every number of the epoch; ``done`` after
            the last epoch. A trial that cannot go on reports ``failure`` and its reason instead,
            with an objective that nobody reads. ``warnings``, ``gpu_use`` are for the records.
        """
        return self._result() | {"warnings": self._told()}

    def _told(self) -> list[str]:
        warnings, self._warnings = self._warnings, []
        return warnings

    def _result(self) -> dict[str, Any]:
        try:
            if self._refusal is not None:
                raise self._refusal
            return self._next_epoch()
        except DivergedError as error:
            return self._failure(error.reason, error.detail)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            detail = memory_detail(self._config, str(error), share=self._bundle.get("GPU", 1))
            return self._failure("out_of_memory", detail)

    def _next_epoch(self) -> dict[str, Any]:
        seconds: defaultdict[str, float] = defaultdict(float)
        for report in self._meter.watch(self._reports):
            seconds[f"seconds/{report.stage}"] += report.seconds
            self._open_board.scalars(report.stage, report.step, report.metrics)
            if report.stage == "joint":
                return self._epoch_result(report, dict(seconds))
        return self._failure("error", "the trial was over before this epoch")

    @property
    def _open_board(self) -> TensorBoard:
        if self._board is None:
            raise RuntimeError(f"{self._name}: its TensorBoard run is closed")
        return self._board

    def _epoch_result(self, report: Report, seconds: Metrics) -> dict[str, Any]:
        board = self._open_board
        value = report.metrics[self._study.search.metric]
        self._best = max(self._best, value)
        if self._is_grid_due(report.step):
            images = self._trial.sample_images(_GRID_PER_CLASS)
            board.images("synthetic", report.step, images, columns=_GRID_PER_CLASS)
        board.flush()
        shown = {OBJECTIVE: self._best, **report.metrics}
        board.hparams(
            self._hparams, {name: shown[name] for name in _HPARAMS_METRICS}, step=report.step
        )
        if report.step in self._ends:
            # Before anybody hears of this epoch: a trial that is over has its model.
            files = model_files(self._trial, self._images, self._best)
            write_model(self._root, self._name, files)
        return {
            OBJECTIVE: self._best,
            "epoch": report.step,
            "training_iteration": report.step,
            "done": report.step == report.num_steps,
            "metrics": {**report.metrics, **seconds},
            **self._meter.told(),
        }

    def _is_grid_due(self, epoch: int) -> bool:
        """Draw images at the first epoch, at the rung and at the end."""
        return epoch in {1, self._study.min_epochs, self._study.max_epochs}

    def _failure(self, reason: str, detail: str) -> dict[str, Any]:
        if self._board is not None:
            self._board.flush()
        return {OBJECTIVE: 0.0, "failure": reason, "detail": detail, "done": True, "metrics": {}}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write all that changes, as tensors and plain data only."""
        self._open_board.flush()
        write_checkpoint(
            Path(checkpoint_dir),
            {
                "trial": self._trial.state_dict(),
                "objective": self._best,
                "proposal": self._proposal,
                "digest": self._images.digest,
                "versions": {"distill-tune": __version__, "torch": str(torch.__version__)},
            },
        )

    def load_checkpoint(self, checkpoint: str | dict[str, Any] | None) -> None:
        """Go on exactly as if never stopped; from an older one if this one is damaged."""
        if self._refusal is not None:
            return
        try:
            self._restore(Path(str(checkpoint)))
        except ValueError as error:
            self._tell_of_damage(error)
            self._go_on(damaged=str(checkpoint))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process: imports and data are paid for once."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Close what is open."""
        if self._board is not None:
            self._board.close()


def trial_name(config: dict[str, Any]) -> str:
    """Return the name of a trial, such as ``resnet50-0007``."""
    return f"{config['backbone']}-{config['number']:04d}"
