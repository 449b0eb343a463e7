"""What each part of a trial takes, measured on the parts themselves: some steps, no training."""

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import torch

from distill_tune.distill.classifier_stage import num_steps, real_batches, train_step
from distill_tune.distill.compute.batches import Batch
from distill_tune.distill.hardness import Scores, label, score
from distill_tune.distill.joint_stage import JointStage, enter
from distill_tune.distill.monitoring.epoch_metrics import Reference
from distill_tune.distill.monitoring.fidelity import train_judge
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import JointTraining, TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.tuning.dry_run.estimate import StageTimes

_PATIENCE_S, _LONG_S = 1.0, 4.0
_LEAST, _MOST = 3, 9


class Parts(NamedTuple):
    """Seconds that the parts of a trial take; 0 for what it has not.

    Attributes:
        build: Networks, optimisers, images on their device.
        classifier_step: A step of stage 1.
        score: How hard every training image is for the classifier.
        validate: Batch norm re-estimated, the validation split read.
        judge_step: A step of the judge's training.
        warmup_step: A step of the GAN without the triplet loss.
        assemble: Hard and easy images, once the scores are known.
        triplet_step: A step of the GAN with the triplet loss.
        reference: What the monitors compare with.
        refresh: New hard and easy images in stage 3.
        joint_step: A step of stage 3, of the GAN and of the classifier, in its last epoch.
        monitor: The look at the GAN after an epoch.
        first: What the first calls of all of these took longer than later ones.
    """

    build: float
    classifier_step: float
    score: float
    validate: float
    judge_step: float
    warmup_step: float
    assemble: float
    triplet_step: float
    reference: float
    refresh: float
    joint_step: float
    monitor: float
    first: float


class Rehearsal:
    """A trial that is tried out instead of run.

    Args:
        config: Its configuration.
        images: The study's data.
        device: Where to compute.

    Attributes:
        trial: Its state is that of a trial at its end, but for what it has learnt.
        scores: How hard images are for its classifier, once that is measured.
    """

    def __init__(self, config: TrialConfig, images: ImageData, device: torch.device) -> None:
        # Nothing has learnt anything here: no verdict on the GAN would be a fair one.
        mild = {
            "collapse_policy": "continue",
            "unfit_policy": "warn",
            "max_discriminator_gap": None,
        }
        joint = config.joint.model_copy(update=mild)
        self._config = config.model_copy(update={"joint": joint})
        self._clock = _Clock(device)
        began = self._clock.now()
        self.trial = Trial(self._config, images, device)
        self.scores: list[Scores] = []
        self._build_s = self._clock.now() - began

    def parts(self) -> Parts:
        """Measure all parts; the trial is then at the end of stage 3, untrained."""
        step, score_s, validate_s = self._classifier_parts()
        judge_s, warmup_s, assemble_s, triplet_s = self._gan_parts()
        reference_s, refresh_s, joint_s, monitor_s = self._joint_parts()
        return Parts(
            build=self._build_s,
            classifier_step=step,
            score=score_s,
            validate=validate_s,
            judge_step=judge_s,
            warmup_step=warmup_s,
            assemble=assemble_s,
            triplet_step=triplet_s,
            reference=reference_s,
            refresh=refresh_s,
            joint_step=joint_s,
            monitor=monitor_s,
            first=self._clock.first_s,
        )

    def _batches(self) -> Iterator[Batch]:
        seed, training = self._config.seed, self._config.classifier
        for epoch in count():
            yield from real_batches(self.trial.data, training, seed=seed, epoch=epoch)

    def _classifier_parts(self) -> tuple[float, float, float]:
        trial, batches = self.trial, self._batches()
        state, execution = trial.state, trial.trainer.execution
        stage = JointStage(trial.trainer, None)

        def step() -> None:
            train_step(state.classifier, state.optimizer, next(batches), execution=execution)

        def score_all() -> None:
            self.scores[:] = [score(state.reference, trial.data, self._config, 0)]

        times = self._clock.times_of([step, step, lambda: stage.validate(0), score_all])
        return times[0], times[3], times[2]

    def _gan_parts(self) -> tuple[float, float, float, float]:
        trial, config, times_of = self.trial, self._config, self._clock.times_of
        state, lr, weight = trial.state, config.gan.lr, config.joint.triplet_weight

        def assemble() -> None:
            state.sets = label(state.snapshot, trial.data, config, 0, self.scores[0])

        (assemble_s,) = times_of([assemble])
        if not config.joint.has_gan:
            return 0.0, 0.0, assemble_s, 0.0
        judge = state.gan.judge
        (judge_s,) = times_of([lambda: train_judge(judge, trial.data, config.seed, 1)])
        # With all of the class signal, as most steps have it.
        state.gan.step = config.warmup_limit
        (warmup_s,) = times_of([lambda: trial.trainer.step(lr=lr, triplet_weight=0.0)])
        (triplet_s,) = times_of([lambda: trial.trainer.step(lr=lr, triplet_weight=weight)])
        return judge_s, warmup_s, assemble_s, triplet_s

    def _joint_parts(self) -> tuple[float, float, float, float]:
        trial, config = self.trial, self._config
        enter(trial.state, config)
        found: list[Reference | None] = [None]

        def measure() -> None:
            found[0] = Reference.measure(trial.trainer)

        reference_s = sum(self._clock.times_of([measure])) if config.joint.has_gan else 0.0
        stage, last = JointStage(trial.trainer, found[0]), config.joint.epochs - 1
        batches, steps = self._batches(), count()

        def step() -> None:
            stage.step(last, next(steps), next(batches))

        # In turns, as they come in an epoch: one after the other they would find warm caches.
        times = self._clock.times_of(
            [lambda: stage.refresh(last), step, step, stage.monitor, lambda: stage.validate(last)]
        )
        return reference_s, times[0], times[2], times[3]


class _Clock:
    """Times work on a device; the first call of each is left out, and summed up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.first_s = 0.0

    def now(self) -> float:
        """Return the time once the device has done what it was asked for."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def times_of(self, works: list[Callable[[], object]]) -> list[float]:
        """Return the median time of each of some works that are done in turns."""
        first = [self._once(work) for work in works]
        until, rounds = self.now() + _PATIENCE_S, list[list[float]]()
        while len(rounds) < _LEAST or (len(rounds) < _MOST and self.now() < until):
            rounds.append([self._once(work) for work in works])
            if sum(rounds[0]) > _LONG_S:
                break
        usual = [statistics.median(column) for column in zip(*rounds, strict=True)]
        self.first_s += sum(max(0.0, a - b) for a, b in zip(first, usual, strict=True))
        return usual

    def _once(self, work: Callable[[], object]) -> float:
        began = self.now()
        work()
        return self.now() - began


def stage_times(parts: Parts, trial: Trial) -> StageTimes:
    """Return what the stages of a trial take in whole."""
    config = trial.config
    steps = num_steps(trial.data, config.classifier)
    joint = config.joint
    epoch_s = steps * parts.joint_step + parts.monitor + parts.validate
    classifier_epoch_s = steps * parts.classifier_step + parts.validate
    return StageTimes(
        classifier=config.classifier.epochs * classifier_epoch_s + parts.score,
        warmup=_warmup_s(parts, config),
        triplet=parts.assemble + config.triplet_steps * parts.triplet_step,
        joint_start=parts.reference,
        joint=tuple(epoch_s + parts.refresh * is_due for is_due in _refreshes(joint)),
        joint_end=parts.validate,
    )


def _warmup_s(parts: Parts, config: TrialConfig) -> float:
    """Return the seconds of a warm-up; without a given length, of the longest."""
    if not config.joint.has_gan:
        return 0.0
    return config.gan.judge_steps * parts.judge_step + config.warmup_limit * parts.warmup_step


def _refreshes(joint: JointTraining) -> Iterator[bool]:
    """Yield for each epoch whether labels are renewed before it; a plateau is always one."""
    last = 0
    for epoch in range(joint.epochs):
        is_due = joint.is_refresh_due(epoch, last)
        last = epoch if is_due else last
        yield is_due
