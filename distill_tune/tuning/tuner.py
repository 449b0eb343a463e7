"""Ray Tune's part of a session: sampler, scheduler, tuner."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray import tune
from ray.tune.search import ConcurrencyLimiter

from distill_tune.cluster.resources import Slots, present_slots
from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.interfaces import ImageData, plain
from distill_tune.records.gpu_use import gpu_uses
from distill_tune.records.trials import OBJECTIVE, TrialRecord
from distill_tune.study.study import Study
from distill_tune.study.validation import get_path
from distill_tune.training.checkpoints.folders import KEPT, RAY_FOLDER
from distill_tune.tuning.callbacks.capacity import CapacityCallback
from distill_tune.tuning.callbacks.gpu_sharing import PackingCallback
from distill_tune.tuning.callbacks.saving import SavingCallback
from distill_tune.tuning.callbacks.trial_events import StudyCallback
from distill_tune.tuning.callbacks.waiting import WaitingCallback
from distill_tune.tuning.extras.open_runs import num_open, open_extras, settle_extras
from distill_tune.tuning.interrupts import DrainStopper, InterruptCallback, longest_epoch_s
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.continued import continued_events, continued_pasts
from distill_tune.tuning.sampling.distributions import Raw
from distill_tune.tuning.sampling.proposals import SamplerPlan, raw_point, trial_name
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from distill_tune.tuning.scheduler import MODE, AshaPerBackbone
from distill_tune.tuning.stopping.experiments import run_experiment
from distill_tune.tuning.stopping.stop_rules import StopRules
from distill_tune.tuning.trainable import DistillTrial


def make_scheduler(study: Study, continued: Iterable[TrialRecord] = ()) -> AshaPerBackbone:
    """Return a scheduler for a study that knows only the trials taken over from other studies."""
    return AshaPerBackbone(
        min_epochs=study.min_epochs,
        max_epochs=study.max_epochs,
        reduction_factor=study.search.reduction_factor,
        continued=continued_events(continued),
    )


def make_sampler(
    study: Study,
    extras: Iterable[dict[str, Any]] = (),
    continued: Iterable[TrialRecord] = (),
    *,
    has_trials: bool = True,
) -> SamplerPerBackbone:
    """Return a sampler that has proposed nothing yet.

    Args:
        study: The whole search.
        extras: Configurations of the extra runs to start before the trials.
        continued: Trials taken over from other studies.
        has_trials: Whether trials follow.
    """
    return SamplerPerBackbone(
        SamplerPlan(
            backbones=tuple(backbone.name for backbone in study.backbones),
            dimensions=study.space.dimensions,
            num_trials=study.search.num_trials,
            min_epochs=study.min_epochs,
            max_epochs=study.max_epochs,
            sampler=study.search.sampler,
            seed=study.search.seed,
            num_startup_trials=study.search.num_startup_trials,
            points_to_evaluate=(_defaults(study),),
            first_points={
                name: tuple(raw_point(study.space.dimensions, point) for point in points)
                for name, points in study.search.first_points.items()
            },
            continued=continued_pasts(continued, study.space.dimensions),
            has_costs=bool(study.search.objectives),
        ),
        extras,
        has_trials=has_trials,
    )


def settle(study: Study, journal: Journal) -> None:
    """End the trials that a kill caught between their last report and their end.

    Such a trial has no work left: it reached its last epoch, or a rung that it did not pass.
    """
    scheduler = make_scheduler(study, journal.state.continued)
    scheduler.replay(journal.rung_events())
    settle_extras(journal, study.max_epochs)
    for trial in journal.state.trials.values():
        if trial.ended_at is not None or not trial.history:
            continue
        end = partial(journal.end_trial, trial.number, trial.name, detail="found at a resume")
        stops = [
            rung.epoch
            for rung in scheduler.rungs(trial.backbone)
            if trial.number in rung.verdicts and rung.verdicts[trial.number].stop
        ]
        if stops:
            end(status="pruned", reason=f"rung {stops[0]}")
        elif max(trial.history) >= study.max_epochs:
            end(status="complete", reason="")


def _defaults(study: Study) -> dict[str, Raw]:
    """Return the study's own values of the searched params: the first trial of every backbone."""
    template = plain(study.trial)
    values = {path: get_path(template, path.split(".")) for path in study.space.dimensions}
    return raw_point(study.space.dimensions, values)


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Options of :func:`tune_trials`.

    Attributes:
        trainable: Runs a trial.
        is_sharing: Whether trials adopt the shared stages of the study.
        is_time_over: Returns whether the session's time is used up.
    """

    trainable: type[tune.Trainable] = DistillTrial
    is_sharing: bool = True
    is_time_over: Callable[[], bool] = lambda: False


def tune_trials(
    study: Study, images: ImageData, journal: Journal, slots: Slots, options: TuneOptions
) -> bool:
    """Run every trial, and extra run that can be done now, that has not ended yet.

    Returns:
        Whether nobody and no time budget interrupted the trials; a rule may have stopped them.

    Each session is a Ray experiment of its own. Sampler and scheduler are rebuilt from the study's
    records, which hold every decision; an unfinished trial finds, by its name, the newest of the
    checkpoints that Ray made for it in earlier sessions. So nothing depends on the state that Ray
    keeps of an experiment.

    If Ray gives up an experiment (its memory monitor killed a worker) or a trial (a worker was lost
    at a bad moment), another experiment takes over. The same happens with ``gpus: fit`` once it is
    known how many trials share a GPU: ``slots`` give each a whole one.
    """
    placed = tune.with_parameters(
        options.trainable,
        study=study,
        images=PlacedImages.of(images),
        root=journal.directory.path(),
        is_sharing=options.is_sharing,
    )
    losses: Counter[int] = Counter()
    while True:
        present = present_slots(study, slots, gpu_uses(journal.packing_events))
        extras, continued = open_extras(study, journal.state), journal.state.continued
        sampler = make_sampler(study, extras, continued, has_trials=journal.state.stop is None)
        scheduler = make_scheduler(study, continued)
        packing = PackingCallback(study, journal, slots, present, scheduler.drain)
        sampler.replay(journal.past_trials())
        scheduler.replay(journal.rung_events())
        scheduler.drain.epoch_s = longest_epoch_s(journal.state.trials.values())
        callback = StudyCallback(journal, sampler, study, losses)
        limiter = ConcurrencyLimiter(sampler, max_concurrent=present.count)
        capacity = CapacityCallback(present, limiter, journal)
        waiting = WaitingCallback(journal, capacity)
        saving = SavingCallback(journal.directory.root)
        interrupts = InterruptCallback(journal.tell, scheduler.drain, options.is_time_over)
        stops = StopRules(study, journal, present.bundle).callbacks(scheduler.drain, sampler.close)
        tuner = tune.Tuner(
            tune.with_resources(placed, dict(present.bundle)),
            tune_config=_tune_config(study, limiter, scheduler, len(extras)),
            run_config=_run_config(
                study,
                [callback, saving, packing, capacity, waiting, interrupts, *stops],
                DrainStopper(scheduler.drain),
                name=_new_name(journal),
                storage_path=journal.directory.path(RAY_FOLDER),
            ),
        )
        with closing(capacity):
            is_over = run_experiment(tuner, scheduler.drain, callback, packing)
        if is_over or num_open(study, journal.state) <= 0:
            return not scheduler.drain.is_interrupted


def _tune_config(
    study: Study, limiter: ConcurrencyLimiter, scheduler: AshaPerBackbone, num_extras: int
) -> tune.TuneConfig:
    return tune.TuneConfig(
        metric=OBJECTIVE,
        mode=MODE,
        search_alg=limiter,
        scheduler=scheduler,
        num_samples=study.search.num_trials + num_extras,
        reuse_actors=True,
        trial_name_creator=_name,
        trial_dirname_creator=_name,
    )


def _run_config(
    study: Study,
    callbacks: list[tune.Callback],
    stopper: DrainStopper,
    *,
    name: str,
    storage_path: str,
) -> tune.RunConfig:
    return tune.RunConfig(
        name=name,
        storage_path=storage_path,
        callbacks=callbacks,
        stop=stopper,
        failure_config=tune.FailureConfig(max_failures=study.search.max_failures),
        # A trial asks for its checkpoints itself, when one is due.
        checkpoint_config=tune.CheckpointConfig(
            checkpoint_frequency=0, checkpoint_at_end=False, num_to_keep=KEPT
        ),
        verbose=0,
    )


def _new_name(journal: Journal) -> str:
    """Return a name that no folder has: Ray would merge its checkpoints with what lies there."""
    session = f"session-{len(journal.state.sessions):04d}"
    names = (f"{session}-{attempt}" if attempt else session for attempt in itertools.count())
    return next(name for name in names if not journal.directory.has(f"{RAY_FOLDER}/{name}"))


def _name(trial: tune.experiment.Trial) -> str:
    return trial_name(trial.config)
