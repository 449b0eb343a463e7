"""Execution of a confirmation: Ray, shared stages and runs, started when they are needed."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

from distill_tune.cluster.node_start_checks import check_nodes
from distill_tune.cluster.node_watch import NodeWatch
from distill_tune.cluster.resources import Slots, cluster, present_slots, slots
from distill_tune.cluster.shared_images import StudyImages
from distill_tune.confirmation.plan import shared_by
from distill_tune.confirmation.run import ArmRun, RunSettings
from distill_tune.confirmation.run_pool import RunPool
from distill_tune.confirmation.sealed_test import SealedTest
from distill_tune.records.confirm_log import EVIDENCE, run_records
from distill_tune.records.gpu_use import gpu_uses
from distill_tune.study.study import Study
from distill_tune.training.run_times import ALL_STAGES
from distill_tune.training.stages import ComputePlace, Job
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import ConfirmationView, RunOptions, StageOptions
from distill_tune.tuning.shared_stage_tasks import run_stages
from distill_tune.tuning.time_left import RunsTimeLeft

if TYPE_CHECKING:
    from types import TracebackType


@dataclass
class RunExecutor:
    """Executor of the runs that are not recorded yet; a context manager.

    Ray starts only when there is something to compute; leaving the context disconnects from it.

    Attributes:
        study: The stored study.
        images: Images of each run.
        journal: Where results are recorded.
        view: Shows the progress.
        options: How to run.
        reading: Number of the reading of the test split: 1 the first time.
    """

    study: Study
    images: StudyImages
    journal: Journal
    view: ConfirmationView
    options: RunOptions
    reading: int
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _slots: Slots | None = field(default=None, init=False)
    _pool: RunPool | None = field(default=None, init=False)
    _time_left: RunsTimeLeft | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def compute(self, runs: list[ArmRun]) -> None:
        """Compute those of the runs that are not recorded yet."""
        todo = self._open(runs)
        if not todo:
            return
        present = self._start()
        # A repetition must start from scratch, so it takes over no stages.
        is_sharing = self.options.is_sharing and self.reading == 1
        place = ComputePlace.of(present.bundle)
        jobs = shared_by(todo, self.images, place) if is_sharing else []
        self.view.expect(len(todo), self._estimate(todo, jobs, present.count))
        if jobs:
            options = StageOptions(checkpoint_share=self.study.search.checkpoint_share)
            run_stages(jobs, self.images, self.journal, self.view, present, options)
        if self._pool is None:
            self._pool = self._new_pool(present, is_sharing=is_sharing)
        self._pool.compute(todo, self.view)

    def _estimate(self, runs: list[ArmRun], jobs: list[Job], count: int) -> RunsTimeLeft:
        if self._time_left is None:
            self._time_left = RunsTimeLeft(self.images.num_train)
        self._time_left.expect(jobs, count)
        for run in runs:
            stages = ALL_STAGES[:1] if run.arm.is_stage_one_only else ALL_STAGES
            self._time_left.expect_run(run.name, run.config, stages)
        return self._time_left

    def _open(self, runs: list[ArmRun]) -> list[ArmRun]:
        over = {
            (record.name, record.reading)
            for record in run_records(self.journal.directory.events())
            if not record.is_lost
        }
        return [
            run
            for run in runs
            if (run.name, self.reading if run.phase == EVIDENCE else 0) not in over
        ]

    def _start(self) -> Slots:
        if self._slots is None:
            address = self.options.address
            self.view.say(f"starting Ray on {address or 'this machine'}")
            self._stack.enter_context(cluster(address))
            whole = slots(self.study.resources, self.study.trial.compute)
            check_nodes(self.journal.directory, whole)
            # As many share a GPU as trials of the search did.
            uses = gpu_uses(self.journal.packing_events)
            self._slots = present_slots(self.study, whole, uses)
        return self._slots

    def _new_pool(self, present: Slots, *, is_sharing: bool) -> RunPool:
        search = self.study.search
        settings = RunSettings(
            root=self.journal.directory.path(),
            metric=search.metric,
            checkpoint_share=search.checkpoint_share,
            bundle=dict(present.bundle),
            is_sharing=is_sharing,
        )
        return RunPool(
            self.journal,
            self.images,
            settings,
            SealedTest(self.study.data, self.journal, self.reading),
            partial(NodeWatch, present, self.journal.directory, self.journal.warn),
            max_failures=search.max_failures,
        )
