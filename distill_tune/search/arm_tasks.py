"""The runs of a confirmation as Ray tasks: trained side by side, then read on the test split."""

import time
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
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.search.arm_run import ArmRun, Ground, Outcome, read_test, train_arm
from distill_tune.search.cluster import task_options
from distill_tune.search.journal import Journal
from distill_tune.search.memory import is_memory_kill
from distill_tune.search.placement import PlacedImages
from distill_tune.search.portraits import Picture, store_picture
from distill_tune.search.sealed_test import SealedTest

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
        outcome: What became of its training, once that is over.
        weights: Where its classifier's weights are, once it is complete.
    """

    run: ArmRun
    outcome: Outcome | None = None
    weights: Any = None


class ArmDesk:
    """Who computes what in a confirmation.

    Args:
        journal: Where results go; each is there before the next is looked at.
        images: The study's data.
        ground: What all runs have in common.
        test: The sealed test split.
        reading: How often the models will have been read on it.
        max_failures: How often a run whose worker was lost is begun again.
    """

    def __init__(
        self,
        journal: Journal,
        images: ImageData,
        ground: Ground,
        test: SealedTest,
        *,
        reading: int,
        max_failures: int,
    ) -> None:
        self._journal, self._ground, self._test = journal, ground, test
        self._reading, self._max_failures = reading, max_failures
        self._placed = ray.put(PlacedImages.of(images))
        self._losses: Counter[str] = Counter()
        self._training: dict[Any, _Work] = {}
        self._tested: dict[Any, _Work] = {}
        # What is begun again goes on from a checkpoint: it says less than Ray would expect.
        options = {**task_options(ground.bundle), "max_retries": 0}
        self._train = ray.remote(**options, num_returns="streaming")(train_arm)
        self._read = ray.remote(**options)(read_test)

    def compute(self, runs: Iterable[ArmRun], count: int, progress: RunProgress) -> None:
        """Train and read runs, so many at a time, in their order."""
        waiting = list(runs)
        try:
            while waiting or self._training or self._tested:
                while waiting and len(self._training) + len(self._tested) < count:
                    run = waiting.pop(0)
                    stream = self._train.remote(run, self._placed, self._ground)
                    self._training[stream] = _Work(run)
                waiting += self._listen(progress)
        except BaseException:
            for task in (*self._training, *self._tested):
                ray.cancel(task, force=True)
            raise

    def _listen(self, progress: RunProgress) -> list[ArmRun]:
        """Take the next report of every task that has one; return runs to be begun again."""
        tasks = [*self._training, *self._tested]
        if not tasks:
            time.sleep(_LOOK_EVERY_S)
        ready, _ = ray.wait(tasks, num_returns=1, timeout=_LOOK_EVERY_S, fetch_local=False)
        again = []
        for task in ready:
            work = self._training.get(task) or self._tested[task]
            try:
                if task in self._training:
                    self._advance(task, work, progress)
                else:
                    del self._tested[task]
                    self._record(work, ray.get(task), progress)
            except ray.exceptions.RayError as error:
                self._training.pop(task, None)
                if self._is_begun_again(work.run, error, progress):
                    again.append(work.run)
        return again

    def _advance(self, stream: Any, work: _Work, progress: RunProgress) -> None:
        try:
            item = next(stream)
        except StopIteration:
            del self._training[stream]
            self._go_to_test(work, progress)
            return
        if work.outcome is not None:
            # Weights: they stay where they are, and go from there to who reads the test split.
            work.weights = item
            return
        said = ray.get(item)
        if isinstance(said, Outcome):
            work.outcome = said
        elif isinstance(said, Picture):
            store_picture(self._journal.directory, work.run.backbone, said)
        else:
            progress.report(work.run.name, said)

    def _go_to_test(self, work: _Work, progress: RunProgress) -> None:
        if work.run.phase != EVIDENCE or work.weights is None:
            self._record(work, {}, progress)
            return
        test = self._test.open(work.run, self._reading)
        bundle = self._ground.bundle
        task = self._read.remote(work.run.config, work.weights, self._placed, test, bundle)
        self._tested[task] = work

    def _is_begun_again(self, run: ArmRun, error: Exception, progress: RunProgress) -> bool:
        reason = getattr(error, "cause", None) or error
        detail = (str(reason).strip().splitlines() or [type(reason).__name__])[-1].strip()
        if is_disk_full(reason):
            raise DiskFullError(detail) from error
        self._losses[run.name] += 1
        if self._losses[run.name] <= self._max_failures:
            self._journal.emit("warning", text=f"{run.name} is begun again: {detail}")
            return True
        word = "error" if isinstance(error, ray.exceptions.RayTaskError) else "worker_lost"
        word = "out_of_memory" if is_memory_kill(error) else word
        self._record(_Work(run, Outcome("failed", word, detail, None, {}, {})), {}, progress)
        return False

    def _record(self, work: _Work, test: Metrics, progress: RunProgress) -> None:
        run, outcome = work.run, work.outcome
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
            **outcome._asdict(),
            test=test,
            gpus=self._ground.bundle.get("GPU", 0),
            reading=self._reading if run.phase == EVIDENCE else 0,
            order=[*ARMS, run.arm.name].index(run.arm.name),
        )
        delete_checkpoints(self._ground.root, run.name)
        progress.finished(run.name, _words(outcome, test))


def _words(outcome: Outcome, test: Metrics) -> str:
    if outcome.value is None:
        return f"{outcome.status} ({outcome.reason})"
    shown = f"validation {outcome.value:.4f}"
    return f"{shown}, test {test['accuracy']:.4f}" if test else shown
