"""The trainable: a thin adaptor of a trial to Ray. One step = one epoch of stage 3."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from distill_tune import __version__
from distill_tune.checkpoint_writer import CheckpointWriter
from distill_tune.checkpoints import local_copies, read_checkpoint
from distill_tune.distill.data import DeviceData
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DivergedError
from distill_tune.fitness_view import FitnessWatch
from distill_tune.interfaces import Metrics
from distill_tune.model import model_files
from distill_tune.rungs import rung_epochs
from distill_tune.search.gpu_use import GpuMeter
from distill_tune.search.journal import is_logged
from distill_tune.search.models import write_model
from distill_tune.search.placement import PlacedImages
from distill_tune.search.proposals import trial_name
from distill_tune.search.scheduler import OBJECTIVE
from distill_tune.search.sight import sees_study, wait_for_study
from distill_tune.study import Study
from distill_tune.training.devices import device_of
from distill_tune.training.memory import is_out_of_memory, memory_detail
from distill_tune.training.shared_stages import adopt_stages
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import Place
from distill_tune.training.trial_board import GRID_PER_CLASS, TrialBoard


class DistillTrial(tune.Trainable):
    """One configuration of GAN distillation as a ``ray.tune.Trainable``.

    ``config`` holds ``backbone``, ``number`` and ``params``; study and data come as parameters
    (:func:`ray.tune.with_parameters`), so that they are placed once and not once per trial.
    """

    def setup(
        self,
        config: dict[str, Any],
        study: Study | None = None,
        images: PlacedImages | None = None,
        root: str = "",
        *,
        is_sharing: bool = True,
    ) -> None:
        """Build the trial, with the shared stages that the study holds.

        Args:
            config: ``{"backbone": name, "number": n, "params": {path: value}}``.
            study: The whole search.
            images: Its data, without the test split.
            root: Its directory or URI.
            is_sharing: Whether shared stages are looked for at all.
        """
        if study is None or images is None:
            raise TypeError("study and images are given by tune.with_parameters")
        self._study, self._images, self._root = study, images.images(), root
        self._is_sharing = is_sharing
        self._meter = GpuMeter()
        self._placed: DeviceData | None = None
        self._ends = {
            *rung_epochs(study.min_epochs, study.max_epochs, study.search.reduction_factor),
            study.max_epochs,
        }
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._proposal, self._name = config, trial_name(config)
        self._warnings: list[str] = []
        self._adopted: list[str] = []
        self._untold: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._board: TrialBoard | None = None
        self._checkpoints = CheckpointWriter(
            self._root, self._name, self._study.search.checkpoint_share
        )
        self._refusal: Exception | None = None
        if not sees_study(self._root):
            # Its first step waits for it: here nobody would hear why.
            return
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
        reports = self._begin_trial()
        shown = {"backbone": config["backbone"], **config["params"]}
        self._board = TrialBoard(self._root, self._name, shown, reports)
        self._go_on()

    def _begin_trial(self) -> list[Report]:
        """Make the trial afresh; return what the shared stages reported when computed."""
        self._best, self._fitness = float("-inf"), FitnessWatch()
        # A process that takes on one trial after another has its images on the device once.
        placed = self._placed if self._placed and self._placed.device == self._device else None
        self._trial = Trial(self._config, self._images, self._device, placed)
        self._placed = self._trial.data
        self._reports: Iterator[Report] = self._trial.run()
        if not self._is_sharing:
            return []
        store = StageStore(self._root, self._images.digest, Place.here(self._device))
        adopted = adopt_stages(self._trial, store)
        self._adopted = adopted.keys
        self._warnings += [f"{self._name}: {text}" for text in adopted.warnings]
        for report in adopted.reports:
            # Of a shared stage the study has been warned.
            self._fitness.take(report)
        return adopted.reports

    def _go_on(self) -> None:
        """Continue from the newest sound checkpoint of all sessions, if there is one."""
        none_is_sound = False
        with tempfile.TemporaryDirectory() as scratch:
            for folder in local_copies(self._root, self._name, Path(scratch)):
                try:
                    self._restore(folder)
                except ValueError as error:
                    text = f"{self._name}: damaged checkpoint passed over: {error}"
                    self._warnings.append(text)
                    none_is_sound = True
                else:
                    return
        if none_is_sound:
            self._warnings.append(f"{self._name}: no checkpoint is sound, it starts anew")

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
        told = saved["told"]
        if told and not is_logged(self._root, self._proposal["number"], told["epoch"]):
            self._untold = told

    def step(self) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Returns:
            ``objective``, the best so far, and every number of the epoch; ``done`` after the last.
            A trial that cannot go on reports ``failure`` and its reason, and an objective that
            nobody reads. ``warnings``, ``gpu_use`` and ``stages`` are for the study's records.
        """
        result = self._result() | {"warnings": self._warnings, "stages": self._adopted}
        self._warnings, self._adopted = [], []
        return result

    def _result(self) -> dict[str, Any]:
        try:
            if self._refusal is not None:
                raise self._refusal
            if self._board is None:
                wait_for_study(self._root)
                self._build(self._proposal)
            if self._untold:
                result, self._untold = self._untold, {}
                return self._telling(result)
            if self._told:
                # Not before: asked for more, it knows that the driver has logged that epoch. Else
                # a kill in between would leave a trial that goes on after an epoch nobody has.
                self._checkpoints.offer(self._told["epoch"], self._checkpoint)
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
            self._take(report)
            if report.stage == "joint":
                return self._epoch_result(report, dict(seconds))
        return self._failure("error", "the trial was over before this epoch")

    def _take(self, report: Report) -> None:
        self._open_board.add(report)
        if report.stage == "warmup" and report.step == report.num_steps:
            self._open_board.add_warmed(report.step, self._trial.sample_images(GRID_PER_CLASS))
        warning = self._fitness.take(report)
        self._warnings += [f"{self._name}: {warning}"] if warning else []

    @property
    def _open_board(self) -> TrialBoard:
        if self._board is None:
            raise RuntimeError(f"{self._name}: its TensorBoard run is closed")
        return self._board

    def _epoch_result(self, report: Report, seconds: Metrics) -> dict[str, Any]:
        self._best = max(self._best, report.metrics[self._study.search.metric])
        is_grid_due = report.step in {1, *self._ends} and self._config.joint.has_gan
        images = self._trial.sample_images(GRID_PER_CLASS) if is_grid_due else None
        self._open_board.add_epoch(report, self._best, images)
        if report.step in self._ends:
            # Before anybody hears of this epoch: a trial that is over has its model.
            origin = {"study": self._study.study, "trial": self._name}
            origin |= {"params": self._proposal["params"]}
            files = model_files(self._trial, self._images, origin)
            write_model(self._root, self._name, files)
        stages = self._fitness.metrics if report.step == 1 else {}
        result = {OBJECTIVE: self._best, "metrics": {**report.metrics, **stages, **seconds}}
        result |= {"epoch": report.step, "training_iteration": report.step}
        result |= {"done": report.step == report.num_steps}
        return self._telling(result) | self._meter.told()

    def _telling(self, result: dict[str, Any]) -> dict[str, Any]:
        self._told = result
        return result

    def _failure(self, reason: str, detail: str) -> dict[str, Any]:
        # What it has computed since its last report is not worth going on from.
        self._told = {}
        if self._board is not None:
            self._board.flush()
        return {OBJECTIVE: 0.0, "failure": reason, "detail": detail, "done": True, "metrics": {}}

    def _checkpoint(self, told: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return all that changes, as tensors and plain data only.

        Args:
            told: The last report, where it is not known whether the driver heard of it.
        """
        return {
            "trial": self._trial.state_dict(),
            "objective": self._best,
            "told": told or {},
            "proposal": self._proposal,
            "digest": self._images.digest,
            "versions": {"distill-tune": __version__, "torch": str(torch.__version__)},
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process: imports and data are paid for once."""
        # Ray asks for this only where a trial is over.
        self._checkpoints.discard()
        self._told = {}
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Save what a trial that is stopped on its way has behind it; close what is open."""
        epoch = self._told.get("epoch", 0)
        if epoch > 0:
            # Whether its last report was heard it does not know; of a trial that is over, the
            # session deletes it in the end.
            self._checkpoints.save(epoch, partial(self._checkpoint, self._told))
        self._checkpoints.close()
        if self._board is not None:
            self._board.close()
