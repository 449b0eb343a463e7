"""Phases of a session: trials and controls; then finalists, and controls that a rule cut off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill_tune.cluster.failures.ray_errors import in_a_line
from distill_tune.cluster.resources import Slots
from distill_tune.cluster.shared_images import StudyImages
from distill_tune.errors import RayError, is_disk_full
from distill_tune.interfaces import ImageData
from distill_tune.records.gpu_use import gpu_uses
from distill_tune.study.extra_runs import proposed_config
from distill_tune.study.study import Study
from distill_tune.training.stages import ComputePlace, Job, shared_jobs
from distill_tune.tuning.extras.common_stages import common_jobs
from distill_tune.tuning.extras.finalists import record_finalists
from distill_tune.tuning.extras.open_runs import (
    num_open,
    num_open_trials,
    open_extras,
    open_finalists,
)
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import SearchView, StageOptions
from distill_tune.tuning.time_left import SearchTimeLeft


@dataclass
class Phases:
    """Phases of a session.

    Attributes:
        study: The whole search.
        images: Its data.
        journal: Where results are recorded.
        view: Shows the progress.
        slots: Resources of a trial, and how many run at a time.
        is_sharing: Whether stages that runs have in common are computed once.
        is_time_over: Returns whether the time budget is used up.
    """

    study: Study
    images: ImageData
    journal: Journal
    view: SearchView
    slots: Slots
    is_sharing: bool
    is_time_over: Callable[[], bool]

    def run(self) -> None:
        """Run what is open until it has ended, or something stops it.

        Raises:
            RayError: Ray gave up.
            KeyboardInterrupt: The user stopped a shared stage.
        """
        state = self.journal.state
        if (len(state.sessions) > 1 or state.continued) and not self._go_on():
            return
        time_left = SearchTimeLeft(self.study, len(self.images.train.labels), self.journal.state)
        self.view.expect(time_left)
        for _ in range(2):
            stop = self.journal.state.stop
            if stop is not None and (stop.is_budget or not self._open_extras()):
                return
            finalists = open_finalists(self.study, self.journal.state)
            is_uninterrupted = self._phase(finalists, time_left)
            if not is_uninterrupted or not self._open_extras() or self.is_time_over():
                return

    def _open_extras(self) -> list[dict[str, Any]]:
        return open_extras(self.study, self.journal.state)

    def _go_on(self) -> bool:
        """Settle what earlier sessions left; return whether anything is still to be done."""
        from distill_tune.cluster.resources import present_slots
        from distill_tune.tuning.stopping.stop_rules import StopRules
        from distill_tune.tuning.tuner import settle

        settle(self.study, self.journal)
        if num_open_trials(self.study, self.journal.state) > 0:
            uses = gpu_uses(self.journal.packing_events)
            bundle = present_slots(self.study, self.slots, uses).bundle
            StopRules(self.study, self.journal, bundle).stop_if_broken()
        return num_open(self.study, self.journal.state) > 0

    def _phase(self, finalists: list[dict[str, Any]], time_left: SearchTimeLeft) -> bool:
        """Run stages, then trials or finalists; return whether nothing interrupted them."""
        from distill_tune.tuning.shared_stage_tasks import run_stages

        if finalists:
            record_finalists(self.study, self.journal)
        jobs = self._shared_jobs(finalists)
        time_left.expect(jobs, self.slots.count)
        if jobs:
            images = StudyImages(self.study.data, self.images)
            share = self.study.search.checkpoint_share
            options = StageOptions(checkpoint_share=share, is_time_over=self.is_time_over)
            run_stages(jobs, images, self.journal, self.view, self.slots, options)
        return not self.is_time_over() and self._tune()

    def _shared_jobs(self, finalists: list[dict[str, Any]]) -> list[Job]:
        """Return the stages that trials have in common or, in their turn, the finalists."""
        if not self.is_sharing:
            return []
        if not finalists:
            return shared_jobs(self.study)
        configs = [proposed_config(self.study, one) for one in finalists]
        digest, place = self.images.digest, ComputePlace.of(self.slots.bundle)
        return common_jobs(configs, lambda _: digest, place)

    def _tune(self) -> bool:
        from ray.tune.error import TuneError

        from distill_tune.tuning.tuner import TuneOptions, tune_trials

        study, journal = self.study, self.journal
        options = TuneOptions(is_sharing=self.is_sharing, is_time_over=self.is_time_over)
        try:
            return tune_trials(study, self.images, journal, self.slots, options)
        except (RuntimeError, TuneError) as error:
            if is_disk_full(error):
                raise
            if num_open(study, journal.state) > 0:
                cause = in_a_line(error.__cause__ or error)
                raise RayError(f"Ray stopped the search: {cause}") from error
            return True
