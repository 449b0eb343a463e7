"""The runs of a confirmation as Ray tasks: trained side by side, then read on the test split."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import ray

from distill_tune.arms import ARMS
from distill_tune.checkpoints import delete_checkpoints
from distill_tune.confirm_log import EVIDENCE, RUN
from distill_tune.distill.trial import Report
from distill_tune.errors import DiskFullError, is_disk_full
from distill_tune.fitness_view import briefly
from distill_tune.interfaces import Metrics
from distill_tune.search.arm_run import ArmRun, Ground, Outcome, train_arm
from distill_tune.search.cluster import task_options
from distill_tune.search.journal import Journal
from distill_tune.search.nodes import Begun, NodeWatch
from distill_tune.search.placement import StudyImages
from distill_tune.search.portraits import Picture, store_picture
from distill_tune.search.ray_errors import cause_of, in_a_line
from distill_tune.search.sealed_test import SealedTest, read_test
from distill_tune.search.worker_logs import last_words
from distill_tune.training.memory import is_memory_kill

_LOOK_EVERY_S = 0.5


class RunProgress(Protocol):
    """Who is told how far runs are."""

    def report(self, name: str, report: Report) -> None:
        """Take what a run says of itself."""

    def finished(self, name: str, text: str) -> None:
        """Take what became of a run."""


@dataclass
class _Work:
    """A run that computes now.

    Attributes:
        placed: Where Ray keeps its images; None of one that does not compute any more.
        begun: Where, once that is known.
        outcome: What became of its training, once that is over.
        weights: Where its classifier's weights are, once it is complete.
        test: What was read on the test split.
    """

    run: ArmRun
    placed: Any = None
    begun: Begun | None = None
    outcome: Outcome | None = None
    weights: Any = None
    test: Metrics | None = None


class ArmDesk:
    """Who computes what in a confirmation.

    Args:
        journal: Where results go; each is there before the next is looked at.
        images: Of each run.
        ground: What all runs have in common.
        test: The sealed test split.
        nodes: How many runs there is room for.
        max_failures: How often a run whose worker was lost is begun again.
    """

    def __init__(
        self,
        journal: Journal,
        images: StudyImages,
        ground: Ground,
        test: SealedTest,
        nodes: NodeWatch,
        *,
        max_failures: int,
    ) -> None:
        self._journal, self._ground, self._test, self._nodes = journal, ground, test, nodes
        self._max_failures = max_failures
        self._images = images
        self._losses: Counter[str] = Counter()
        self._waiting: list[ArmRun] = []
        self._backbones: set[str] = set()
        self._running: dict[Any, _Work] = {}
        # What is begun again goes on from a checkpoint: it says less than Ray would expect.
        options = {**task_options(ground.bundle), "max_retries": 0, "num_returns": "streaming"}
        self._train = ray.remote(**options)(train_arm)
        self._read = ray.remote(**options)(read_test)

    def compute(self, runs: Iterable[ArmRun], progress: RunProgress) -> None:
        """Train and read runs, as many at a time as there is room for, in their order."""
        self._waiting = list(runs)
        self._backbones = {run.backbone for run in self._waiting}
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < self._nodes.count:
                    run = self._waiting.pop(0)
                    placed = self._images.place(run.config.data)
                    stream = self._train.remote(run, placed, self._ground)
                    self._running[stream] = _Work(run, placed)
                self._listen(progress)
        except BaseException:
            for stream in self._running:
                ray.cancel(stream, force=True)
            raise

    def _listen(self, progress: RunProgress) -> None:
        """Take the next report of every task that has one, or notice its end."""
        for work, why in self._nodes.take_lost(self._running):
            self._begin_again(work.run, "worker_lost", why, progress)
        if not self._running:
            return
        ready, _ = ray.wait(
            list(self._running), num_returns=1, timeout=_LOOK_EVERY_S, fetch_local=False
        )
        for stream in ready:
            work = self._running[stream]
            try:
                self._advance(stream, work, progress)
            except ray.exceptions.RayError as error:
                del self._running[stream]
                self._give_up(work.run, error, progress)

    def _advance(self, stream: Any, work: _Work, progress: RunProgress) -> None:
        try:
            item = next(stream)
        except StopIteration:
            del self._running[stream]
            self._go_on(work, progress)
            return
        if work.outcome is not None and work.weights is None:
            # Weights: they stay where they are, and go from there to who reads the test split.
            work.weights = item
            return
        said = ray.get(item)
        if isinstance(said, Begun):
            work.begun = said
        elif isinstance(said, str):
            self._journal.emit("warning", text=briefly(said, self._journal.state.warnings))
        elif isinstance(said, Report):
            self._journal.starts.begun()
            progress.report(work.run.name, said)
        elif isinstance(said, Picture):
            store_picture(self._journal.directory, work.run.backbone, said)
        elif isinstance(said, Outcome):
            work.outcome = said
        else:
            work.test = said

    def _go_on(self, work: _Work, progress: RunProgress) -> None:
        """Let a trained model be read on the test split; record what has nothing before it."""
        if work.run.phase != EVIDENCE or work.weights is None or work.test is not None:
            self._record(work, progress)
            return
        test = self._test.open(work.run)
        bundle, work.begun = self._ground.bundle, None
        stream = self._read.remote(work.run.config, work.weights, work.placed, test, bundle)
        self._running[stream] = work

    def _give_up(self, run: ArmRun, error: Exception, progress: RunProgress) -> None:
        reason = cause_of(error)
        detail = in_a_line(reason)
        if is_disk_full(reason):
            raise DiskFullError(detail) from error
        word = "error" if isinstance(error, ray.exceptions.RayTaskError) else "worker_lost"
        word = "out_of_memory" if is_memory_kill(error) else word
        if word == "worker_lost":
            detail = last_words(error, detail)
        self._begin_again(run, word, detail, progress)

    def _begin_again(self, run: ArmRun, word: str, detail: str, progress: RunProgress) -> None:
        """Let a run that was lost wait for its turn, or record that it was lost too often."""
        self._journal.starts.add(run.name, run.backbone, f"{word}: {detail}", self._backbones)
        self._losses[run.name] += 1
        if self._losses[run.name] <= self._max_failures:
            self._journal.emit("warning", text=f"{run.name} is begun again: {detail}")
            self._waiting.append(run)
            return
        self._record(_Work(run, outcome=Outcome("failed", word, detail, None, {}, {})), progress)

    def _record(self, work: _Work, progress: RunProgress) -> None:
        run, outcome, test = work.run, work.outcome, work.test or {}
        if outcome is None:
            raise RuntimeError(f"{run.name} ended without saying what became of it")
        self._journal.emit(
            RUN,
            name=run.name,
            phase=run.phase,
            backbone=run.backbone,
            arm=run.arm.name,
            title=run.arm.title,
            role=run.arm.role,
            trial=run.trial,
            key=run.key,
            seed=run.config.seed,
            is_tuned=run.is_tuned,
            is_concerned=run.is_concerned,
            subset_seed=run.config.data.subset_seed if run.is_redrawn else None,
            images=self._images.digest(run.config.data),
            **outcome._asdict(),
            test=test,
            chance=self._test.chance if run.phase == EVIDENCE else {},
            gpus=self._ground.bundle.get("GPU", 0),
            reading=self._test.reading if run.phase == EVIDENCE else 0,
            order=[*ARMS, run.arm.name].index(run.arm.name),
        )
        delete_checkpoints(self._ground.root, run.name)
        progress.finished(run.name, _words(outcome, test))


def _words(outcome: Outcome, test: Metrics) -> str:
    if outcome.value is None:
        return f"{outcome.status} ({outcome.reason})"
    shown = f"validation {outcome.value:.4f}"
    return f"{shown}, test {test['accuracy']:.4f}" if test else shown
