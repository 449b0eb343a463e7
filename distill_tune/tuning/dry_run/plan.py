"""A search that is not begun: its first proposals, tried out, and what all of it would take."""

import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple

from distill_tune.cluster.resources import Slots, cluster, slots
from distill_tune.datasets.images.value_range import range_line
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import PREDECESSORS, STAGES, ComputePlace, Job, shared_jobs
from distill_tune.tuning.dry_run.estimate import (
    Estimate,
    Judge,
    Measured,
    SharedWork,
    StartUp,
    Work,
)
from distill_tune.tuning.dry_run.rehearsal import Parts
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.scheduler import RungEvent

NUM_PROPOSALS = 3
"""How many configurations are shown."""

_LEAST_TRIED = 2
"""How many are tried out at least, of all backbones together."""

_TUNE_S, _TURN_S = 3.5, 0.2
"""Of Ray Tune itself, as they were seen: until its first trial, and from one trial to the next."""


class Proposal(NamedTuple):
    """What the search would propose.

    Attributes:
        backbone: Whose trial it is.
        number: Of the trial.
        params: Dotted path to value.
    """

    backbone: str
    number: int
    params: dict[str, Any]


class DryRun(NamedTuple):
    """What was found without searching.

    Attributes:
        study: As checked.
        images: Its data.
        proposals: The first of the search.
        slots: Of the cluster that it would run on.
        work: What it would have to do.
        parts: Backbone to what the steps of a trial take.
        measured: Backbone to what a trial takes.
        start: What is waited for.
        estimate: Of the whole search.
    """

    study: Study
    images: ImageData
    proposals: tuple[Proposal, ...]
    slots: Slots
    work: Work
    parts: dict[str, Parts]
    measured: dict[str, Measured]
    start: StartUp
    estimate: Estimate


def dry_run(
    study: Study, directory: StudyDirectory, images: ImageData, options: RunOptions, began: float
) -> DryRun:
    """Try out a study's first configurations on the machines of its search.

    Args:
        study: As checked.
        directory: Where the search would write; nothing is written.
        images: Its data.
        options: How the search would run.
        began: When the command was started (``time.perf_counter``).

    Raises:
        InputError: No cluster at the address, or no node that can hold a trial.
        RehearsalError: A trial cannot run.
    """
    say = options.views.say
    where = options.address or "this machine"
    say(f"{study.study}: a dry run, nothing is written; starting Ray on {where}")
    if told := range_line(images.value_ranges):
        say(told)
    for text in images.warnings:
        say(f"warning: {text}")
    with cluster(options.address):
        from distill_tune.tuning.dry_run.forecast import estimate
        from distill_tune.tuning.dry_run.rehearsals import mean_of, num_at_once, rehearse

        found_slots = slots(study.resources)
        driver_s = time.perf_counter() - began
        at_once = min(num_at_once(found_slots), study.search.num_trials)
        configs = [config for name in _names(study) for config in _configs(study, name, at_once)]
        found = rehearse(configs, images, found_slots, say)
    both = {name: mean_of(one for one in found if one.backbone == name) for name in _names(study)}
    measured = {name: one for name, (_, one) in both.items()}
    worker_s = sum(one.worker_s for one in found[:at_once]) / len(found[:at_once])
    start = StartUp(driver_s, worker_s, _TUNE_S, _TURN_S)
    store = StageStore(directory.path(), images.digest, ComputePlace.of(found_slots.bundle))
    work = _work(study, store, found_slots, is_sharing=options.is_sharing)
    return DryRun(
        study=study,
        images=images,
        proposals=tuple(proposals(study, NUM_PROPOSALS)),
        slots=found_slots,
        work=work,
        parts={name: parts for name, (parts, _) in both.items()},
        measured=measured,
        start=start,
        estimate=estimate(work, measured, start, lambda: _judge(study)),
    )


def proposals(study: Study, count: int) -> list[Proposal]:
    """Return what a search of the study proposes first, while no trial is over."""
    from distill_tune.tuning.tuner import make_sampler

    sampler = make_sampler(study)
    drawn = [
        sampler.suggest(f"dry-{index}") for index in range(min(count, study.search.num_trials))
    ]
    return [Proposal(**one) for one in drawn if isinstance(one, dict)]


def _names(study: Study) -> tuple[str, ...]:
    return tuple(backbone.name for backbone in study.backbones)


def _configs(study: Study, backbone: str, at_once: int) -> Iterator[TrialConfig]:
    """Yield configurations of a backbone that fill the slots."""
    names = _names(study)
    wanted = -(-_LEAST_TRIED // len(names))
    count = at_once * -(-wanted // at_once)
    every = proposals(study, count * len(names))
    own = [one.params for one in every if one.backbone == backbone]
    for params in islice(cycle(own), count):
        yield study.trial_config(backbone, params)


def _judge(study: Study) -> Judge:
    from distill_tune.tuning.tuner import make_scheduler

    scheduler = make_scheduler(study)
    return lambda *report: scheduler.judge(RungEvent(report[0], report[1], report[2], report[3]))


def _work(study: Study, store: StageStore, found: Slots, *, is_sharing: bool) -> Work:
    from distill_tune.tuning.tuner import make_scheduler

    jobs = shared_jobs(study) if is_sharing else []
    has_gan = study.trial.joint.has_gan
    own = {}
    for name in _names(study):
        shared = {job.stage for job in jobs if _serves(job, name)}
        stages = [stage for stage in STAGES if stage not in shared]
        own[name] = tuple(stage for stage in stages if has_gan or stage != "warmup")
    rungs = make_scheduler(study).rungs(study.backbones[0].name)
    return Work(
        backbones=_names(study),
        num_trials=study.search.num_trials,
        slots=found.count,
        rungs=tuple(rung.epoch for rung in rungs),
        shared=tuple(_shared(job, jobs, store) for job in jobs),
        own=own,
        keep_top=study.search.keep_top,
    )


def _serves(job: Job, backbone: str) -> bool:
    return job.stage == "warmup" or job.config.backbone.name == backbone


def _shared(job: Job, jobs: list[Job], store: StageStore) -> SharedWork:
    needed = {store.key(before, job.config) for before in PREDECESSORS[job.stage]}
    needs = frozenset(one.name for one in jobs if store.key(one.stage, one.config) in needed)
    is_ready = store.is_there(job.stage, job.config)
    return SharedWork(job.name, job.stage, job.config.backbone.name, needs, is_ready)
