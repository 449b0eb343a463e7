"""Shared stages as Ray tasks, run before any trial holds the resources that they need."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from distill_tune.cluster.failures.start_failures import LOST
from distill_tune.cluster.node_watch import NodeWatch
from distill_tune.cluster.ray_session import WorkersAhead
from distill_tune.cluster.resources import Slots, task_options
from distill_tune.cluster.shared_images import PlacedImages, StudyImages
from distill_tune.cluster.study_folder_check import wait_for_study
from distill_tune.cluster.task_pool import Ended, Event, Failed, Reported, TaskPool
from distill_tune.distill.trial import Report
from distill_tune.errors import StudyError
from distill_tune.records.words.fitness_text import briefly, is_unfit, last, unfit_warning
from distill_tune.training.devices import device_of, return_freed_memory
from distill_tune.training.shared_stages import StageResult, checkpoints_of, compute_stage
from distill_tune.training.stage_store import Claim, StageStore
from distill_tune.training.stages import PREDECESSORS, ComputePlace, Job
from distill_tune.tuning.run_options import StageOptions, StageProgress

if TYPE_CHECKING:
    from distill_tune.tuning.journal import Journal

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class _StageWork:
    """Stage to compute.

    Attributes:
        job: The stage.
        key: Key of its product.
        inputs: Keys of the products that it starts from.
        claim: The right to compute it, which is taken when it starts.
    """

    job: Job
    key: str
    inputs: frozenset[str]
    claim: Claim


def run_stages(
    jobs: Sequence[Job],
    images: StudyImages,
    journal: "Journal",
    progress: StageProgress,
    slots: Slots,
    options: StageOptions,
) -> None:
    """Compute the stages that trials share and the study lacks, with the resources of a trial.

    Stages that do not need each other run side by side, as many as trials may. If another study is
    computing a stage, it is waited for without holding any resources. A stage that fails is left to
    the trials, which then report the reason themselves. A stage whose node is lost goes on
    elsewhere from its last checkpoint, as one that was interrupted does in the next session.
    Once the time is over, no stage is waited for. The processes of the trials start as soon as a
    stage leaves room for another.
    """
    digests = {job.config.data.subset_seed: images.digest(job.config.data) for job in jobs}
    store = StageStore(journal.directory.path(), digests, ComputePlace.of(slots.bundle))
    queue = _StageQueue(store, journal, progress)
    # Checked here: a worker would take seconds to start, only to find the stage ready.
    queue.add([job for job in jobs if not queue.is_ready(job)])
    if not queue.waiting:
        return
    nodes = NodeWatch(slots, journal.directory, journal.warn)
    resources = task_options(slots.bundle)
    of_trials: WorkersAhead | None = None
    with TaskPool[_StageWork](nodes, resources, max_retries=2) as pool:
        try:
            while (queue.waiting or queue.computing) and not options.is_time_over():
                for work in queue.startable(lambda: pool.has_room):
                    placed = images.place(work.job.config.data)
                    share = options.checkpoint_share
                    pool.start(work, _stage, work.job, placed, store, slots.bundle, share)
                if pool.has_room:
                    # Whatever waits needs a stage that is not over: a core is free until then.
                    of_trials = of_trials or _workers_of_trials(slots.count)
                    of_trials.start()
                for event in pool.listen():
                    queue.take(event)
        finally:
            if of_trials is not None:
                of_trials.close()
            queue.release()


def _workers_of_trials(count: int) -> WorkersAhead:
    """Import what runs trials, which takes seconds, and return the start of their processes."""
    importlib.import_module("distill_tune.tuning.tuner")
    from distill_tune.tuning.trial_processes import trial_environment

    return WorkersAhead(count, trial_environment())


class _StageQueue:
    """Queue of the stages to compute.

    Attributes:
        waiting: Stages that are not being computed here yet.
        computing: Stages that are being computed here.
    """

    def __init__(self, store: StageStore, journal: "Journal", progress: StageProgress) -> None:
        self._store, self._journal, self._progress = store, journal, progress
        self.waiting: list[_StageWork] = []
        self.computing: list[_StageWork] = []

    def add(self, jobs: Sequence[Job]) -> None:
        """Append stages to those that wait."""
        for job in jobs:
            store, config = self._store, job.config
            # Once for each stage: a confirmation has hundreds, and asks after every report.
            key, inputs = store.key(job.stage, config), self._inputs(job)
            self.waiting.append(_StageWork(job, key, inputs, store.claim(job.stage, config)))

    def is_ready(self, job: Job) -> bool:
        """Return whether the study holds a product, or can adopt it from another study now."""
        saved = self._saved(job)
        if saved is None and self._store.adopt(job.stage, job.config):
            saved = self._saved(job)
            checkpoints_of(job, self._store).clear()
        if saved is None:
            return False
        self._store.show(job.stage, job.config, saved)
        self._tell(StageResult.found(job, self._store.key(job.stage, job.config), saved), job)
        return True

    def _tell(self, result: StageResult, job: Job) -> None:
        """Record the outcome of a stage, and warn if its generator is not fit."""
        self._journal.emit("stage", **result.event())
        end = last(result.curve)
        text = unfit_warning(result.name, end.agreement) if end is not None else ""
        inputs = self._inputs(job)
        was_unfit = any(
            record.key in inputs and is_unfit(record.curve) for record in self._journal.state.stages
        )
        earlier = self._journal.state.warnings
        # No new warning if the generator was not fit in the stage before, or in an earlier session.
        if text and not was_unfit and not {text, briefly(text, earlier)} & set(earlier):
            self._journal.warn(briefly(text, earlier))

    def _saved(self, job: Job) -> dict[str, Any] | None:
        try:
            return self._store.read(job.stage, job.config, _CPU)
        except ValueError as error:
            self._journal.warn(f"{error}; it is computed again")
            return None

    def startable(self, has_room: Callable[[], bool]) -> Iterator[_StageWork]:
        """Yield the stages that can start: their inputs exist, and no other study computes them.

        Args:
            has_room: Whether another stage may run; asked before each.
        """
        for work in list(self.waiting):
            if self._is_too_early(work) or not has_room():
                continue
            job = work.job
            if not work.claim.take():
                self._progress.stage(job.name, "another study is computing it")
                continue
            self.waiting.remove(work)
            # Another study may have finished it since the last check.
            if self._store.adopt(job.stage, job.config) and self.is_ready(job):
                self._progress.stage(job.name, "")
                work.claim.release()
            else:
                self.computing.append(work)
                yield work

    def _is_too_early(self, work: _StageWork) -> bool:
        return any(other.key in work.inputs for other in (*self.waiting, *self.computing))

    def _inputs(self, job: Job) -> frozenset[str]:
        return frozenset(self._store.key(stage, job.config) for stage in PREDECESSORS[job.stage])

    def take(self, event: Event[_StageWork]) -> None:
        """Handle an event of a task."""
        if isinstance(event, Reported):
            self._handle(event.work.job, event.value)
            return
        if isinstance(event, Ended):
            self._publish(event.work.job)
        event.work.claim.release()
        self.computing.remove(event.work)
        if isinstance(event, Failed):
            self._give_up(event.work.job, event)

    def release(self) -> None:
        """Release the claims on the stages that were not computed here."""
        for work in self.computing:
            work.claim.release()

    def _handle(self, job: Job, value: StageResult | tuple[str, Report | str]) -> None:
        if isinstance(value, StageResult):
            self._progress.stage(value.name, "")
            self._tell(value, job)
            return
        self._progress.stage(*value)

    def _publish(self, job: Job) -> None:
        try:
            self._store.publish(job.stage, job.config)
        except StudyError as error:
            text = f"shared stage {job.name} is not kept for other studies: {error}"
            self._journal.warn(text)

    def _give_up(self, job: Job, failed: Failed[_StageWork]) -> None:
        """Restart a stage whose node is lost; leave any other to the trials."""
        if failed.reason == "node_lost":
            self.add([job])
            text = f"shared stage {job.name} starts over: {failed.detail}"
            self._journal.warn(text)
            return
        self._progress.stage(job.name, "")
        text = f"shared stage {job.name} failed, and is left to the trials: {failed.detail}"
        self._journal.warn(text)
        if failed.reason == "worker_lost":
            cause = f"{LOST}: {failed.detail}"
            self._journal.starts.add(job.name, job.config.backbone.name, cause, [])


def _stage(
    job: Job, placed: PlacedImages, store: StageStore, bundle: dict[str, float], share: float
) -> Iterator[StageResult | tuple[str, Report | str]]:
    wait_for_study(store.root)
    # The first report may be minutes away: an epoch of large images, the training of the judge.
    yield job.name, "started"
    try:
        yield from compute_stage(job, placed.images(), store, device_of(bundle), share)
    finally:
        # After the last stage, this process is idle while trials fill the memory.
        return_freed_memory()
