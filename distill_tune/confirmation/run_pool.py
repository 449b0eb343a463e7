"""Runs of a confirmation as Ray tasks: trained in parallel, then read on the test split."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from distill_tune.cluster.node_watch import NodeWatch
from distill_tune.cluster.resources import task_options
from distill_tune.cluster.shared_images import StudyImages
from distill_tune.cluster.task_pool import Ended, Failed, Reported, TaskPool
from distill_tune.confirmation.figures import Picture, store_picture
from distill_tune.confirmation.run import ArmRun, Outcome, RunSettings, train_arm
from distill_tune.confirmation.sealed_test import Reading, SealedTest, read_test
from distill_tune.distill.trial import Report
from distill_tune.records.confirm_log import EVIDENCE, RUN
from distill_tune.records.words.fitness_text import briefly
from distill_tune.records.words.metric_names import without_split
from distill_tune.study.arms import known_arms
from distill_tune.training.checkpoints.folders import delete_checkpoints
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import ConfirmationView


@dataclass(eq=False)
class _RunWork:
    """A run in progress.

    Attributes:
        placed: Where Ray keeps its images; None for a run that no longer computes.
        outcome: Outcome of the training; None until it is over.
        weights: Where its classifier's weights are; None until the run is complete.
        test: Results on the test split; None until it was read.
    """

    run: ArmRun
    placed: Any = None
    outcome: Outcome | None = None
    weights: Any = None
    test: Reading | None = None


class RunPool:
    """Pool of a confirmation's runs.

    Args:
        journal: Where results are recorded, each before the next is handled.
        images: Images of each run.
        settings: Settings that all runs share.
        test: The sealed test split.
        nodes: Returns a watch on the nodes, which determine how many runs fit.
        max_failures: How often a run whose worker was lost is restarted.
    """

    def __init__(
        self,
        journal: Journal,
        images: StudyImages,
        settings: RunSettings,
        test: SealedTest,
        nodes: Callable[[], NodeWatch],
        *,
        max_failures: int,
    ) -> None:
        self._journal, self._settings, self._test, self._nodes = journal, settings, test, nodes
        self._max_failures = max_failures
        self._images = images
        self._losses: Counter[str] = Counter()
        self._waiting: list[ArmRun] = []
        self._backbones: set[str] = set()

    def compute(self, runs: Iterable[ArmRun], view: ConfirmationView) -> None:
        """Train and read runs in order, as many at a time as fit."""
        self._waiting = list(runs)
        self._backbones = {run.backbone for run in self._waiting}
        # Restarts are handled here: a restarted run resumes from a checkpoint and yields fewer
        # items than Ray would expect of its own retry.
        with TaskPool[_RunWork](self._nodes(), task_options(self._settings.bundle)) as pool:
            while self._waiting or pool.works:
                while self._waiting and pool.has_room:
                    self._train(pool, self._waiting.pop(0))
                for event in pool.listen():
                    if isinstance(event, Reported):
                        self._handle(event.work, event.value, view)
                    elif isinstance(event, Ended):
                        self._read_or_record(pool, event.work, view)
                    else:
                        self._requeue(event, view)

    def _train(self, pool: TaskPool[_RunWork], run: ArmRun) -> None:
        placed = self._images.place(run.config.data)
        work = _RunWork(run, placed)
        # Weights are not fetched: they go directly to the task that reads the test split.
        pool.start(
            work, train_arm, run, placed, self._settings, is_fetched=lambda: work.outcome is None
        )

    def _handle(self, work: _RunWork, value: Any, view: ConfirmationView) -> None:
        if work.outcome is not None and work.weights is None:
            work.weights = value
        elif isinstance(value, str):
            self._journal.warn(briefly(value, self._journal.state.warnings))
        elif isinstance(value, Report):
            self._journal.starts.begun()
            view.report(work.run.name, value)
        elif isinstance(value, Picture):
            store_picture(self._journal.directory, work.run.backbone, value)
        elif isinstance(value, Outcome):
            work.outcome = value
        else:
            work.test = value

    def _read_or_record(
        self, pool: TaskPool[_RunWork], work: _RunWork, view: ConfirmationView
    ) -> None:
        """Start reading a trained model on the test split, or record a run that is done."""
        if work.run.phase != EVIDENCE or work.weights is None or work.test is not None:
            self._record(work, view)
            return
        test = self._test.open(work.run)
        bundle = self._settings.bundle
        pool.start(work, read_test, work.run.config, work.weights, work.placed, test, bundle)

    def _requeue(self, failed: Failed[_RunWork], view: ConfirmationView) -> None:
        """Queue a lost run again, or record that it was lost too often."""
        run, detail = failed.work.run, failed.detail
        word = "worker_lost" if failed.reason == "node_lost" else failed.reason
        if not failed.is_taken_back:
            self._journal.starts.add(run.name, run.backbone, f"{word}: {detail}", self._backbones)
            self._losses[run.name] += 1
        if self._losses[run.name] <= self._max_failures:
            self._journal.warn(f"{run.name} is restarted: {detail}")
            self._waiting.append(run)
            return
        self._record(_RunWork(run, outcome=Outcome("failed", word, detail, None, {}, {})), view)

    def _record(self, work: _RunWork, view: ConfirmationView) -> None:
        run, outcome, read = work.run, work.outcome, work.test
        if outcome is None:
            raise RuntimeError(f"{run.name} ended without an outcome")
        self._journal.emit(
            RUN,
            name=run.name,
            phase=run.phase,
            backbone=run.backbone,
            arm=run.arm.name,
            title=run.arm.title,
            role=run.arm.role,
            control=run.arm.control,
            trial=run.trial,
            key=run.key,
            seed=run.config.seed,
            is_tuned=run.is_tuned,
            is_concerned=run.is_concerned,
            extra_images=run.config.joint.extra_images,
            subset_seed=run.config.data.subset_seed if run.is_redrawn else None,
            images=self._images.digest(run.config.data),
            **outcome._asdict(),
            test=read.metrics if read else {},
            recalls=read.recalls if read else [],
            class_counts=read.counts if read else [],
            test_images=self._test.digest if read else "",
            chance=self._test.chance if run.phase == EVIDENCE else {},
            gpus=self._settings.bundle.get("GPU", 0),
            cpus=self._settings.bundle.get("CPU", 0),
            reading=self._test.reading if run.phase == EVIDENCE else 0,
            order=[*known_arms(), run.arm.name].index(run.arm.name),
        )
        delete_checkpoints(self._settings.root, run.name)
        view.finished(run.name, _words(outcome, read, self._settings.metric))


def _words(outcome: Outcome, read: Reading | None, metric: str) -> str:
    if outcome.value is None:
        return f"{outcome.status} ({outcome.reason})"
    shown = f"validation {outcome.value:.4f}"
    return f"{shown}, test {read.metrics[without_split(metric)]:.4f}" if read else shown
