"""Time left of a search or a confirmation, from the seconds that each stage takes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import Metrics, Stage
from distill_tune.records.replay import stage_record
from distill_tune.records.trials import SECONDS, STAGE_STEPS, Event, StudyState
from distill_tune.study.extra_runs import arm_of, control_runs, proposed_config
from distill_tune.study.study import Study
from distill_tune.training.run_times import ALL_STAGES, RunTime, UnitTimes, num_units
from distill_tune.training.stages import Job
from distill_tune.tuning.dry_run.forecast import mean_epochs, span
from distill_tune.tuning.extras.open_runs import is_searched, open_extras
from distill_tune.tuning.sampling.proposals import trial_name


class StagesTimeLeft:
    """Time left of shared stages.

    Args:
        num_train: Number of training images.

    Attributes:
        times: Seconds per unit of each stage.
        slots: Stages, trials or runs at a time.
    """

    def __init__(self, num_train: int) -> None:
        self.times = UnitTimes(num_train)
        self.slots = 1
        self._jobs: dict[str, Job] = {}
        self._open: dict[str, RunTime] = {}

    def expect(self, jobs: Sequence[Job], slots: int) -> None:
        """Add stages that are to be computed or found ready."""
        self.slots = slots
        for job in jobs:
            self._jobs[job.name] = job
            self._open[job.name] = RunTime(job.config, self.times, [job.stage], is_fresh=True)

    def stage_report(self, name: str, report: Report) -> float:
        """Take a report of a shared stage; return the seconds that the stage takes at most."""
        if name not in self._open:
            return math.nan
        self._open[name].take(report)
        return self._open[name].stage_s()

    def stage_over(self, name: str) -> None:
        """Count a stage as over, whatever its outcome."""
        self._open.pop(name, None)

    def stage_event(self, event: Event) -> None:
        """Take the event of a stage that was computed or found ready."""
        stage = stage_record(event)
        self.stage_over(stage.name)
        job = self._jobs.get(stage.name)
        if job is not None and stage.cached and stage.steps:
            self.times.add(job.config, job.stage, stage.steps, stage.cost_s)

    def stages_s(self) -> float:
        """Return the seconds to the end of the last shared stage; ``nan`` if unknown."""
        left = 0.0
        for stages in ({"warmup", "classifier"}, {"triplet"}):  # The latter begins with the former.
            # A copy: views ask in a thread of their own.
            now = list(self._open.items())
            works = [run for name, run in now if self._jobs[name].stage in stages]
            left += spanned([run.seconds() for run in works], self.slots)
        return left


class SearchTimeLeft(StagesTimeLeft):
    """Time left of a search.

    Args:
        study: The whole search.
        num_train: Number of training images.
        state: State of the log at the start of the session.
    """

    def __init__(self, study: Study, num_train: int, state: StudyState) -> None:
        super().__init__(num_train)
        self._study = study
        self._names = [backbone.name for backbone in study.backbones]
        self._configs = {name: study.trial_config(name, {}) for name in self._names}
        self._extras = {
            run.name: proposed_config(study, run.proposal(0)) for run in control_runs(study)
        }
        for trial in state.trials.values():
            for metrics in trial.history.values():
                self._add(self._configs.get(trial.backbone), metrics)
        for name, record in state.extras.items():
            for metrics in record.run.history.values():
                self._add(self._extras.get(name), metrics)

    def listen(self, event: Event, state: StudyState) -> None:
        """Take an event of the study's log."""
        if event["event"] == "stage":
            self.stage_event(event)
        elif event["event"] == "epoch" and event["trial"] in state.trials:
            trial = state.trials[event["trial"]]
            config = self._configs.get(trial.backbone)
            self._add(config, trial.history.get(event["epoch"], {}))
        elif event["event"] == "extra_epoch" and event["name"] in state.extras:
            history = state.extras[event["name"]].run.history
            self._add(self._extras.get(event["name"]), history.get(event["epoch"], {}))

    def _add(self, config: TrialConfig | None, metrics: Metrics) -> None:
        for stage in ALL_STAGES if config is not None else ():
            seconds = metrics.get(f"{SECONDS}{stage}", 0.0)
            if config is not None and seconds > 0:
                expected = 1 if stage == "joint" else num_units(config, stage)
                units = metrics.get(f"{stage}/{STAGE_STEPS}", expected)
                self.times.add(config, stage, units, seconds)

    def seconds(self, state: StudyState) -> float:
        """Return the expected seconds to the end of the search; ``nan`` if unknown."""
        total, names = self._study.search.num_trials, self._names
        if state.stop is not None:
            # No trial follows, only what runs beside them.
            return self.stages_s() + spanned([*self._extras_s(state)], self.slots)
        running = [trial for trial in state.trials.values() if trial.ended_at is None]
        left = [*self._extras_s(state), *self._finalists_s(state)]
        left += [self._trial_s(t.backbone, t.epochs) for t in running if t.backbone in names]
        whole_s = {name: self._trial_s(name, 0) for name in names}
        new = (number for number in range(total) if number not in state.trials)
        left += [whole_s[names[number % len(names)]] for number in new]
        return self.stages_s() + spanned(left, max(self.slots, len(running)))

    def _extras_s(self, state: StudyState) -> Iterator[float]:
        """Yield the expected seconds to the end of every extra run that has not ended."""
        for proposal in open_extras(self._study, state):
            name = trial_name(proposal)
            config, epochs = self._extra_config(proposal), 0
            if name in state.extras:
                epochs = state.extras[name].run.epochs
            is_short = arm_of(proposal).is_stage_one_only
            units: dict[Stage, float] = {"joint": 0 if is_short else config.joint.epochs - epochs}
            if not epochs:
                has_gan = config.joint.has_gan and not is_short
                stages = self._own_stages(config)
                own = [stage for stage in stages if has_gan or stage == "classifier"]
                units |= {stage: num_units(config, stage) for stage in own}
            yield self.times.total(config, units)

    def _extra_config(self, proposal: dict[str, Any]) -> TrialConfig:
        name = trial_name(proposal)
        if name not in self._extras:
            self._extras[name] = proposed_config(self._study, proposal)
        return self._extras[name]

    def _finalists_s(self, state: StudyState) -> Iterator[float]:
        """Yield the expected seconds of the finalists that nobody knows yet."""
        finalists, study = self._study.search.finalists, self._study
        if finalists is None or is_searched(study, state):
            return
        num_runs = min(finalists.top, -(-study.search.num_trials // len(self._names)))
        for config in self._configs.values():
            own = self._own_stages(config)
            for _ in range(finalists.seeds - 1):
                for index in range(num_runs):
                    # The first of a seed stands for the stages that the others share with it.
                    stages = [stage for stage in ALL_STAGES[:-1] if not index or stage in own]
                    units: dict[Stage, float] = {s: num_units(config, s) for s in stages}
                    yield self.times.total(config, {**units, "joint": config.joint.epochs})

    def _trial_s(self, backbone: str, epochs: int) -> float:
        """Return the expected seconds to the end of a trial that has done so many epochs."""
        config = self._configs[backbone]
        num_trials = max(1, self._study.search.num_trials // len(self._names))
        units: dict[Stage, float] = {"joint": mean_epochs(self._study, num_trials, epochs)}
        if not epochs:
            units |= {stage: num_units(config, stage) for stage in self._own_stages(config)}
        return self.times.total(config, units)

    def _own_stages(self, config: TrialConfig) -> list[Stage]:
        """Return the stages before stage 3 that a trial does not share."""
        shared = {
            job.stage
            for job in self._jobs.values()
            if job.stage == "warmup" or job.config.backbone.name == config.backbone.name
        }
        return [stage for stage in ALL_STAGES[:-1] if stage not in shared]


class RunsTimeLeft(StagesTimeLeft):
    """Time left of the runs of a confirmation that are known so far."""

    def __init__(self, num_train: int) -> None:
        super().__init__(num_train)
        self._runs: dict[str, RunTime] = {}

    def expect_run(self, name: str, config: TrialConfig, stages: Iterable[Stage]) -> None:
        """Add a run that goes through these stages, except those that it shares."""
        shared = {job.stage for job in self._jobs.values() if _is_shared(job, config)}
        own = [stage for stage in stages if stage not in shared]
        self._runs[name] = RunTime(config, self.times, own)

    def run_report(self, name: str, report: Report) -> None:
        """Take a report of a run."""
        if name in self._runs:
            self._runs[name].take(report)

    def run_over(self, name: str) -> None:
        """Count a run as over."""
        self._runs.pop(name, None)

    def seconds(self) -> float:
        """Return the expected seconds to the end of the last run; ``nan`` if unknown."""
        left = [run.seconds() for run in list(self._runs.values())]
        return self.stages_s() + spanned(left, self.slots)


def _is_shared(job: Job, config: TrialConfig) -> bool:
    """Return whether a run of this configuration begins with the product of a shared stage."""
    other = job.config
    if (other.seed, other.data) != (config.seed, config.data):
        return False
    if job.stage == "warmup":
        return other.gan == config.gan
    return (other.backbone, other.classifier) == (config.backbone, config.classifier)


def spanned(seconds: Sequence[float], slots: int) -> float:
    """Return the seconds until the last work ends, ``slots`` at a time; ``nan`` if unknown."""
    return math.nan if any(map(math.isnan, seconds)) else span(seconds, slots)
