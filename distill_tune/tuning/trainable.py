"""Trainable: a thin adapter of a trial to Ray. One step = one epoch of stage 3."""

from functools import partial
from typing import Any

from ray import tune

from distill_tune.cluster.gpu_memory import GpuMeter
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.cluster.study_folder_check import sees_study, wait_for_study
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.errors import DivergedError
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.study import Study
from distill_tune.training.devices import device_of
from distill_tune.training.memory import named_failures
from distill_tune.tuning.search_trial import SearchContext, SearchTrial


class DistillTrial(tune.Trainable):
    """Configuration of GAN distillation as a ``ray.tune.Trainable``.

    ``config`` holds ``backbone``, ``number`` and ``params``. Study and data come as parameters
    (:func:`ray.tune.with_parameters`), so that they are stored once and not once per trial.
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
            is_sharing: Whether to use shared stages at all.
        """
        if study is None or images is None:
            raise TypeError("study and images are given by tune.with_parameters")
        self._search = SearchContext(study, images.images(), root, is_sharing)
        self._meter = GpuMeter()
        self._data: DeviceData | None = None
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._proposal = config
        self._trial: SearchTrial | None = None
        self._refusal: Exception | None = None
        if not sees_study(self._search.root):
            # Its first step waits for it: an error raised here would not be reported.
            return
        try:
            self._build()
        except Exception as error:  # noqa: BLE001 - the first step raises it
            # If it were raised here, Ray would end the trial without its retries.
            self._refusal = error

    def _build(self) -> SearchTrial:
        study, backbone = self._search.study, self._proposal["backbone"]
        bundle = getattr(self.trial_resources, "required_resources", {})
        config = study.trial_config(backbone, self._proposal["params"])
        self._named = partial(named_failures, config, gpu_share=bundle.get("GPU", 1))
        device = device_of(bundle)
        self._meter.begin(backbone, study.resources, bundle)
        with self._named():
            # A process that runs one trial after another puts its images on the device once.
            self._trial = SearchTrial(self._search, self._proposal, device, self._data)
        self._data = self._trial.data
        return self._trial

    def step(self) -> dict[str, Any]:
        """Run to the end of the next epoch of stage 3.

        Returns:
            ``objective``, the best so far, and every number of the epoch; ``done`` after the last.
            A trial that cannot continue reports ``failure`` with its reason, and an objective that
            is never used. ``warnings``, ``gpu_use`` and ``stages`` are for the study's records.
        """
        try:
            if self._refusal is not None:
                raise self._refusal
            if self._trial is None:
                wait_for_study(self._search.root)
            trial = self._trial or self._build()
            # Ray asks for an epoch only after its driver has logged the one before.
            with self._named():
                return trial.next_epoch(self._meter.watch) | self._meter.take_use()
        except DivergedError as error:
            return self._failure(error)

    def _failure(self, error: DivergedError) -> dict[str, Any]:
        remarks = self._trial.fail() if self._trial else {"warnings": [], "stages": []}
        result = {"failure": error.reason, "detail": error.detail, "done": True, "metrics": {}}
        return {OBJECTIVE: 0.0, **result, **remarks}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process: imports and data are loaded only once."""
        if self._trial is not None:
            # Ray asks for this only when a trial has ended.
            self._trial.discard()
            self._trial.close()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Save the progress of a trial that is stopped before its end; close what is open."""
        if self._trial is not None:
            self._trial.save()
            self._trial.close()
