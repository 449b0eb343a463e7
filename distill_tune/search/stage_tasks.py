"""The shared stages as Ray tasks, before any trial holds the resources that they need."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
import torch

from distill_tune.distill.trial import Report
from distill_tune.errors import DiskFullError, StudyError, is_disk_full
from distill_tune.fitness_view import briefly, is_unfit, last, metrics_words, unfit_warning
from distill_tune.search.cluster import Slots, task_options
from distill_tune.search.journal import Journal
from distill_tune.search.nodes import Begun, NodeWatch, begun
from distill_tune.search.placement import PlacedImages, StudyImages
from distill_tune.search.ray_errors import cause_of, in_a_line
from distill_tune.search.sight import wait_for_study
from distill_tune.search.start_failures import LOST
from distill_tune.search.worker_logs import last_words
from distill_tune.training.devices import device_of
from distill_tune.training.memory import is_memory_kill
from distill_tune.training.shared_stages import StageResult, compute_stage
from distill_tune.training.stage_store import Claim, StageStore
from distill_tune.training.stages import PREDECESSORS, Job, Place

_LOOK_EVERY_S = 0.5
_CPU = torch.device("cpu")


@dataclass
class _Work:
    """What is being computed, the right to it, and where, once that is known."""

    job: Job
    claim: Claim
    begun: Begun | None = None


class StageProgress(Protocol):
    """Who is told how far shared stages are."""

    def stage(self, name: str, text: str) -> None:
        """Take how far a stage is; an empty text = it is done."""


def run_stages(
    jobs: Sequence[Job],
    images: StudyImages,
    journal: Journal,
    progress: StageProgress,
    slots: Slots,
) -> None:
    """Compute what trials share and the study does not hold yet: on the resources of a trial.

    Stages that do not need each other run side by side. What another study is computing at the
    same time is waited for, without holding any resources. A stage that fails is left to the
    trials, which then say themselves why they fail; one whose node is lost begins again elsewhere.
    """
    digests = {job.config.data.subset_seed: images.digest(job.config.data) for job in jobs}
    store = StageStore(journal.directory.path(), digests, Place.of(slots.bundle))
    nodes = NodeWatch(slots, None, journal)
    desk = _Desk(store, journal, progress, nodes)
    # Looked at here: a worker that only finds it ready would take seconds to start.
    desk.waiting = [job for job in jobs if not desk.is_ready(job)]
    if not desk.waiting:
        return
    options = {**task_options(slots.bundle), "max_retries": 2, "num_returns": "streaming"}
    task = ray.remote(**options)(_stage)
    try:
        while desk.waiting or desk.running:
            for job, claim in desk.startable():
                placed = images.place(job.config.data)
                stream = task.remote(job, placed, store, slots.bundle)
                desk.running[stream] = _Work(job, claim)
            desk.listen()
    except BaseException:
        for stream in desk.running:
            ray.cancel(stream, force=True)
        raise
    finally:
        nodes.close()
        for work in desk.running.values():
            work.claim.release()


class _Desk:
    """Who computes what.

    Attributes:
        waiting: What nobody here computes yet.
        running: What is being computed, by ray's ObjectRefGenerator.
    """

    def __init__(
        self, store: StageStore, journal: Journal, progress: StageProgress, nodes: NodeWatch
    ) -> None:
        self._store, self._journal, self._progress = store, journal, progress
        self._nodes = nodes
        self.waiting: list[Job] = []
        self.running: dict[Any, _Work] = {}

    def is_ready(self, job: Job) -> bool:
        """Tell whether the study holds a product, or takes it over from another study now."""
        saved = self._saved(job)
        if saved is None and self._store.adopt(job.stage, job.config):
            saved = self._saved(job)
        if saved is None:
            return False
        self._store.show(job.stage, job.config, saved)
        self._tell(StageResult.found(job, self._store.key(job.stage, job.config), saved), job)
        return True

    def _tell(self, result: StageResult, job: Job) -> None:
        """Record what became of a stage, and warn where its generator is not fit."""
        self._journal.emit("stage", **result.event())
        end = last(result.curve)
        text = unfit_warning(result.name, end.agreement) if end is not None else ""
        keys = {self._store.key(before, job.config) for before in PREDECESSORS[job.stage]}
        was_unfit = any(
            record.key in keys and is_unfit(record.curve) for record in self._journal.state.stages
        )
        said = self._journal.state.warnings
        # Of a generator that was not fit before, or in an earlier session, nothing new is said.
        if text and not was_unfit and not {text, briefly(text, said)} & set(said):
            self._journal.emit("warning", text=briefly(text, said))

    def _saved(self, job: Job) -> dict[str, Any] | None:
        try:
            return self._store.read(job.stage, job.config, _CPU)
        except ValueError as error:
            self._journal.emit("warning", text=f"{error}; it is computed anew")
            return None

    def startable(self) -> Iterator[tuple[Job, Claim]]:
        """Yield what can be begun: what it begins with is there, and no other study is at it."""
        for job in list(self.waiting):
            if self._is_too_early(job):
                continue
            claim = self._store.claim(job.stage, job.config)
            if not claim.take():
                self._progress.stage(job.name, "another study is computing it")
                continue
            self.waiting.remove(job)
            # Since it was last looked for, another study may have come to its end.
            if self._store.adopt(job.stage, job.config) and self.is_ready(job):
                self._progress.stage(job.name, "")
                claim.release()
            else:
                yield job, claim

    def _is_too_early(self, job: Job) -> bool:
        keys = {self._store.key(before, job.config) for before in PREDECESSORS[job.stage]}
        others = [*self.waiting, *(work.job for work in self.running.values())]
        return any(self._store.key(other.stage, other.config) in keys for other in others)

    def listen(self) -> None:
        """Take the next report of every task that has one, or notice its end."""
        self._take_back_lost()
        if not self.running:
            time.sleep(_LOOK_EVERY_S)
            return
        ready, _ = ray.wait(
            list(self.running), num_returns=1, timeout=_LOOK_EVERY_S, fetch_local=False
        )
        for stream in ready:
            self._advance(stream)

    def _take_back_lost(self) -> None:
        """Let what ran on nodes that are lost begin again."""
        for work, why in self._nodes.take_lost(self.running):
            work.claim.release()
            self.waiting.append(work.job)
            text = f"shared stage {work.job.name} begins again: {why}"
            self._journal.emit("warning", text=text)

    def _advance(self, stream: Any) -> None:
        work = self.running[stream]
        try:
            said = ray.get(next(stream))
        except StopIteration:
            del self.running[stream]
            self._publish(work.job)
            work.claim.release()
            return
        except ray.exceptions.RayError as error:
            del self.running[stream]
            work.claim.release()
            self._give_up(work.job, error)
            return
        if isinstance(said, Begun):
            work.begun = said
            return
        if isinstance(said, StageResult):
            self._progress.stage(said.name, "")
            self._tell(said, work.job)
            return
        name, report = said
        shown = f"{report.step}/{report.num_steps}  {metrics_words(report.metrics)}"
        self._progress.stage(name, shown.rstrip())

    def _publish(self, job: Job) -> None:
        try:
            self._store.publish(job.stage, job.config)
        except StudyError as error:
            text = f"shared stage {job.name} is not kept for other studies: {error}"
            self._journal.emit("warning", text=text)

    def _give_up(self, job: Job, error: "ray.exceptions.RayError") -> None:
        self._progress.stage(job.name, "")
        reason = cause_of(error)
        if is_disk_full(reason):
            raise DiskFullError(in_a_line(reason)) from error
        text = f"shared stage {job.name} failed, and is left to the trials: {in_a_line(reason)}"
        self._journal.emit("warning", text=text)
        if not isinstance(error, ray.exceptions.RayTaskError) and not is_memory_kill(error):
            cause = f"{LOST}: {last_words(error, in_a_line(reason))}"
            self._journal.starts.add(job.name, job.config.backbone.name, cause, [])


def _stage(
    job: Job, placed: PlacedImages, store: StageStore, bundle: dict[str, float]
) -> Iterator[Begun | StageResult | tuple[str, Report]]:
    yield begun()
    wait_for_study(store.root)
    yield from compute_stage(job, placed.images(), store, device_of(bundle))
