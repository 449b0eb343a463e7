"""The trainable: a thin adaptor of a trial to Ray. One step = one epoch of stage 3."""

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
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
from distill_tune.search.scheduler import OBJECTIVE
from distill_tune.search.stages import adopt_stages
from distill_tune.study import Study
from distill_tune.tracking import TensorBoard

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
        self._study, self._images, self._root = study, images, root
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._config = self._study.trial_config(config["backbone"], config["params"])
        held = self.trial_resources
        device = device_of(held.required_resources if held is not None else {})
        trial = Trial(self._config, self._images, device)
        self._trial = trial
        shared_reports = adopt_stages(trial, self._images.digest, self._root)
        self._reports: Iterator[Report] = trial.run()
        self._best = float("-inf")
        self._name = trial_name(config)
        self._warnings: list[str] = []
        self._board = TensorBoard(StudyDirectory(self._root).path(f"tensorboard/{self._name}"))
        self._hparams = {"backbone": config["backbone"], **config["params"]}
        self._board.hparams(self._hparams, dict.fromkeys(_HPARAMS_METRICS, math.nan))
        for report in shared_reports:
            self._board.scalars(report.stage, report.step, report.metrics)
        self._go_on()

    def _go_on(self) -> None:
        """Continue from the newest sound checkpoint of an earlier session, if there is one."""
        with tempfile.TemporaryDirectory() as scratch:
            for folder in local_copies(self._root, self._name, Path(scratch)):
                try:
                    self.load_checkpoint(str(folder))
                except ValueError as error:
                    self._warnings.append(f"{self._name}: damaged checkpoint passed over: {error}")
                else:
                    return

    def step(self) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Returns:
            ``objective``, the best value so far, and every number of the epoch; ``done`` after
            the last epoch. A trial that cannot go on reports ``failure`` and its reason instead,
            with a finite objective that nobody reads. ``warnings`` are for the study's records.
        """
        return self._result() | {"warnings": self._told()}

    def _told(self) -> list[str]:
        warnings, self._warnings = self._warnings, []
        return warnings

    def _result(self) -> dict[str, Any]:
        seconds: defaultdict[str, float] = defaultdict(float)
        try:
            for report in self._reports:
                seconds[f"seconds/{report.stage}"] += report.seconds
                self._board.scalars(report.stage, report.step, report.metrics)
                if report.stage == "joint":
                    return self._epoch_result(report, dict(seconds))
        except DivergedError as error:
            return self._failure(error.reason, error.detail)
        except (torch.OutOfMemoryError, MemoryError) as error:
            return self._failure("out_of_memory", self._memory_message(error))
        return self._failure("error", "the trial was over before this epoch")

    def _epoch_result(self, report: Report, seconds: Metrics) -> dict[str, Any]:
        value = report.metrics[self._study.search.metric]
        self._best = max(self._best, value)
        if self._is_grid_due(report.step):
            images = self._trial.sample_images(_GRID_PER_CLASS)
            self._board.images("synthetic", report.step, images, columns=_GRID_PER_CLASS)
        self._board.flush()
        shown = {OBJECTIVE: self._best, **report.metrics}
        self._board.hparams(
            self._hparams, {name: shown[name] for name in _HPARAMS_METRICS}, step=report.step
        )
        return {
            OBJECTIVE: self._best,
            "epoch": report.step,
            "training_iteration": report.step,
            "done": report.step == report.num_steps,
            "metrics": {**report.metrics, **seconds},
        }

    def _is_grid_due(self, epoch: int) -> bool:
        """Draw images at the first epoch, at the rung and at the end."""
        return epoch in {1, self._study.min_epochs, self._study.max_epochs}

    def _failure(self, reason: str, detail: str) -> dict[str, Any]:
        self._board.flush()
        return {OBJECTIVE: 0.0, "failure": reason, "detail": detail, "done": True, "metrics": {}}

    def _memory_message(self, error: BaseException) -> str:
        batch, backbone = self._config.classifier.batch_size, self._config.backbone.name
        return f"{backbone} with batches of {batch}: {str(error).splitlines()[0]}"

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write all that changes, as tensors and plain data only."""
        self._board.flush()
        write_checkpoint(
            Path(checkpoint_dir),
            {
                "trial": self._trial.state_dict(),
                "objective": self._best,
                "digest": self._images.digest,
                "versions": {"distill-tune": __version__, "torch": str(torch.__version__)},
            },
        )

    def load_checkpoint(self, checkpoint: str | dict[str, Any] | None) -> None:
        """Go on exactly as if never stopped."""
        saved = read_checkpoint(Path(str(checkpoint)), self._trial.data.device)
        self._trial.load_state_dict(saved["trial"])
        self._best = float(saved["objective"])
        self._reports = self._trial.run()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process: imports and data are paid for once."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Close what is open."""
        self._board.close()


def trial_name(config: dict[str, Any]) -> str:
    """Return the name of a trial, such as ``resnet50-0007``."""
    return f"{config['backbone']}-{config['number']:04d}"


def device_of(bundle: Mapping[str, float]) -> torch.device:
    """Return where work with these resources computes: a GPU only if it holds a share of one.

    Ray leaves every GPU visible to work that asked for none. On a CPU the number of threads is
    that of the cores.
    """
    if bundle.get("GPU", 0) > 0:
        return torch.device("cuda")
    torch.set_num_threads(max(1, int(bundle.get("CPU", 1))))
    return torch.device("cpu")
