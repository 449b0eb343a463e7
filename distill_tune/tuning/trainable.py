"""Trainable: a thin adapter of a trial to Ray. One step = one epoch of stage 3."""

from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from distill_tune.cluster.gpu_memory import GpuMeter
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.cluster.study_folder_check import wait_for_study
from distill_tune.distill.trial import Reusable
from distill_tune.errors import DivergedError
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.extra_runs import is_extra, proposed_config
from distill_tune.study.study import Study
from distill_tune.training.devices import device_of
from distill_tune.training.memory import named_failures
from distill_tune.training.peak_memory import largest_config, run_largest_steps
from distill_tune.tuning.search_trial import SearchContext, SearchTrial


class DistillTrial(tune.Trainable):
    """Configuration of GAN distillation as a ``ray.tune.Trainable``.

    ``config`` holds ``backbone``, ``params`` and, in a search, ``number``. Study and data come as
    parameters (:func:`ray.tune.with_parameters`), so that they are stored once and not once per
    trial. A checkpoint holds tensors and plain data, and is loaded without pickle.
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
        """Prepare the trial, which its first step or a checkpoint builds.

        Args:
            config: ``{"backbone": name, "number": n, "params": {path: value}}``.
            study: The whole search.
            images: Its data, without the test split.
            root: Its directory or URI, where the trial finds shared stages and its checkpoints of
                earlier sessions; empty: none.
            is_sharing: Whether to use shared stages at all.
        """
        if study is None or images is None:
            raise TypeError("study and images are given by tune.with_parameters")
        self._search = SearchContext(study, images.images(), root, is_sharing)
        self._meter = GpuMeter()
        self._reusable: Reusable | None = None
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        # What is raised while it is built, Ray answers with a retry; here, it would end the trial.
        self._proposal: dict[str, Any] = {"number": 0, "params": {}} | config
        self._trial: SearchTrial | None = None
        self._refusal: DivergedError | None = None

    def _build(self, checkpoint: Path | None = None) -> SearchTrial:
        if self._search.root:
            wait_for_study(self._search.root)
        study, backbone = self._search.study, self._proposal["backbone"]
        bundle = getattr(self.trial_resources, "required_resources", {})
        config = proposed_config(study, self._proposal)
        self._named = partial(named_failures, config, gpu_share=bundle.get("GPU", 1))
        device = device_of(bundle)
        # A control says nothing about the memory that a trial needs.
        measured = {} if is_extra(self._proposal) else bundle
        self._meter.begin(backbone, study.resources, measured)
        with self._named():
            if self._meter.is_due:
                largest = largest_config(study, backbone, self._proposal["params"])
                run_largest_steps(largest, self._search.images, device, self._reusable)
            # A process that runs one trial after another puts its images on the device once, and
            # compiles its networks once.
            found = SearchTrial(self._search, self._proposal, device, self._reusable, checkpoint)
        self._trial, self._reusable = found, found.reusable
        return found

    def step(self) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Returns:
            ``objective``, the best so far, and every number of the epoch; ``done`` after the last;
            ``should_checkpoint`` when Ray is to save the trial. A trial that cannot continue
            reports ``failure`` with its reason, and an objective that is never used. ``warnings``,
            ``gpu_use`` and ``stages`` are for the study's records.
        """
        try:
            if self._refusal is not None:
                raise self._refusal
            trial = self._trial or self._build()
            with self._named():
                return trial.next_epoch(self._meter.watch) | self._meter.take_use()
        except DivergedError as error:
            return self._failure(error)

    def _failure(self, error: DivergedError) -> dict[str, Any]:
        remarks = self._trial.remarks() if self._trial else {"warnings": [], "stages": []}
        result = {"failure": error.reason, "detail": error.detail, "done": True, "metrics": {}}
        return {OBJECTIVE: 0.0, **result, **remarks}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state after the last step into a folder, which Ray then stores."""
        (self._trial or self._build()).write(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from the state in a folder, which another trial may have written.

        A damaged one is named in a warning, and the trial's newest sound one in the study is taken.

        Raises:
            ValueError: It is damaged, and there is no study.
        """
        self._close()
        try:
            self._build(Path(checkpoint))
        except DivergedError as error:
            self._refusal = error

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process: imports and data are loaded only once."""
        self._close()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Close what is open; Ray has saved the trial if it is to go on."""
        self._close()

    def _close(self) -> None:
        if self._trial is not None:
            self._trial.close()
            self._trial = None
