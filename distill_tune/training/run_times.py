"""Time that stages take: measured from reports, or guessed from measured stages.

A unit of ``classifier`` and ``joint`` is an epoch, one of ``warmup`` and ``triplet`` a generator
step.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import Stage

ALL_STAGES: tuple[Stage, ...] = ("classifier", "warmup", "triplet", "joint")
_EPOCH_STAGES = {"classifier", "joint"}

# Rough proportions, used only until a stage is measured.
_CLASSIFIER_STEP = 4.0
"""Time of a step of stage 1, in steps of the warm-up."""
_TRIPLET_SHARE = 0.5
"""What the triplet loss adds to a step of the warm-up, in steps of stage 1."""
_JOINT_EPOCH = 2.0
"""Time of an epoch of stage 3 without the steps of the GAN, in epochs of stage 1."""


def num_units(config: TrialConfig, stage: Stage, done: int = 0) -> int:
    """Return the expected number of units of a stage; half of the limit for an ``auto`` warm-up.

    Args:
        config: The trial's.
        stage: Which.
        done: Units done so far.
    """
    if stage == "warmup":
        half = config.warmup_limit // 2
        is_short = config.gan.warmup_steps == "auto" and done < half
        return half if is_short else config.warmup_limit
    epochs = config.classifier.epochs if stage == "classifier" else config.joint.epochs
    return config.triplet_steps if stage == "triplet" else epochs


class UnitTimes:
    """Seconds per unit of each stage, measured or guessed.

    Args:
        num_train: Number of training images.
    """

    def __init__(self, num_train: int) -> None:
        self._num_train = num_train
        self._units: dict[tuple[str, ...], float] = defaultdict(float)
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)

    def add(self, config: TrialConfig, stage: Stage, units: float, seconds: float) -> None:
        """Add measured units of a stage."""
        for key in {_key(config, stage), (stage,)}:
            self._units[key] += units
            self._seconds[key] += seconds

    def seconds(self, config: TrialConfig, stage: Stage) -> float:
        """Return the seconds per unit of a stage; ``nan`` if nothing tells."""
        known = self._measured(_key(config, stage))
        return self._guess(config, stage) if math.isnan(known) else known

    def total(self, config: TrialConfig, units: Mapping[Stage, float]) -> float:
        """Return the seconds of so many units of each stage; ``nan`` if unknown."""
        # No units take no time, whether it is known or not.
        return sum(n * self.seconds(config, stage) for stage, n in units.items() if n)

    def _measured(self, key: tuple[str, ...]) -> float:
        units = self._units[key]
        return self._seconds[key] / units if units else math.nan

    def _guess(self, config: TrialConfig, stage: Stage) -> float:
        steps = max(1, self._num_train // config.classifier.batch_size)
        # For want of its own, a backbone's epoch is guessed from those of the others.
        own, others = (self._measured(key) for key in (_key(config, "classifier"), ("classifier",)))
        step = self._measured(("warmup",))
        epoch = _first(own, others, _CLASSIFIER_STEP * steps * step)
        step = _first(step, epoch / steps / _CLASSIFIER_STEP)
        if stage == "classifier":
            return epoch
        if stage == "warmup":
            return step
        if stage == "triplet":
            return step + _TRIPLET_SHARE * epoch / steps
        if not config.joint.has_gan:
            return epoch if config.joint.extra_images == "none" else _JOINT_EPOCH * epoch
        return _JOINT_EPOCH * epoch + steps * self.seconds(config, "triplet")


def _key(config: TrialConfig, stage: Stage) -> tuple[str, ...]:
    """Return what the time of a unit mainly depends on."""
    if stage == "warmup":
        return (stage,)
    return (stage, config.backbone.name, config.joint.extra_images if stage == "joint" else "")


def _first(*values: float) -> float:
    return next((value for value in values if not math.isnan(value)), math.nan)


class RunTime:
    """Time that a run takes from its last report to its end.

    Args:
        config: The run's.
        times: Seconds per unit, to which the run's reports are added.
        stages: Stages that the run goes through, in their order.
        is_fresh: Whether it certainly does not resume from a checkpoint.
    """

    def __init__(
        self,
        config: TrialConfig,
        times: UnitTimes,
        stages: Iterable[Stage] = ALL_STAGES,
        *,
        is_fresh: bool = False,
    ) -> None:
        self._config, self._times, self._stages = config, times, tuple(stages)
        self._is_fresh = is_fresh
        self._report: Report | None = None

    def take(self, report: Report) -> None:
        """Take a report of the run."""
        units = self._new_units(report)
        if units:
            self._times.add(self._config, report.stage, units, report.seconds)
        self._report = report

    def _new_units(self, report: Report) -> int:
        """Return the units since the last report; 0 if that is unknown."""
        last = self._report
        if report.stage in _EPOCH_STAGES:
            return 1
        if last is None and not self._is_fresh:
            return 0
        if last is not None and last.stage == report.stage and last.step < report.step:
            return report.step - last.step
        # The training of the judge is in the first report of a warm-up: it would count as steps.
        is_partial = report.stage == "warmup" and report.step < report.num_steps
        return 0 if is_partial else report.step

    def stage_s(self) -> float:
        """Return the seconds to the end of the current stage at most; ``nan`` if unknown."""
        at = self._report
        if at is None:
            return math.nan
        return self._times.total(self._config, {at.stage: at.num_steps - at.step})

    def seconds(self) -> float:
        """Return the expected seconds to the end of the run; ``nan`` if unknown."""
        at, left = self._report, {stage: num_units(self._config, stage) for stage in self._stages}
        if at is not None:
            position = ALL_STAGES.index(at.stage)
            left = {stage: n for stage, n in left.items() if ALL_STAGES.index(stage) > position}
            end = min(at.num_steps, num_units(self._config, at.stage, at.step))
            left[at.stage] = end - at.step
        return self._times.total(self._config, left)
