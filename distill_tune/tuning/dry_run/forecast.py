"""The forecast of a search: plain arithmetic on what one trial of each backbone takes."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

from distill_tune.study.extra_runs import arm_of, control_runs, proposed_config
from distill_tune.study.rungs import rung_epochs

if TYPE_CHECKING:
    from distill_tune.records.gpu_use import GpuUse
    from distill_tune.study.extra_runs import ExtraRun
    from distill_tune.study.study import Study
    from distill_tune.training.stages import Job


_EXTRA_EPOCH = 2
"""Time of an epoch of stage 3 with extra images but no GAN, in epochs of stage 1."""


class TrialCost(NamedTuple):
    """What one trial takes.

    Attributes:
        stages_s: Seconds of ``setup``, ``classifier``, ``warmup``, ``triplet`` and ``joint``.
        checkpoint_bytes: Size of one checkpoint.
        model_bytes: Size of one model folder.
        gpu: Its peak GPU memory; None on a CPU.
    """

    stages_s: Mapping[str, float]
    checkpoint_bytes: int
    model_bytes: int
    gpu: "GpuUse | None" = None


class StartUp(NamedTuple):
    """Seconds that starting takes.

    Attributes:
        ray_s: Ray itself, or to join it.
        worker_s: A worker, until its work begins.
    """

    ray_s: float
    worker_s: float


_NO_START = StartUp(0.0, 0.0)


class Forecast(NamedTuple):
    """What a search takes.

    Attributes:
        trial_s: Backbone to the seconds of one trial that runs to its end.
        shared_s: Seconds of the shared stages that are still to be computed.
        controls_s: Name of each control to its seconds.
        finalists_s: Seconds of the finalists, their stages included; 0 without them.
        start_s: Seconds in which Ray and workers start, once for stages, trials and finalists each.
        pruned_s: Seconds of the whole search.
        unpruned_s: Seconds of the whole search if every trial ran to its end.
        checkpoint_bytes: Two checkpoints of each running trial; deleted at the end.
        model_bytes: The models that the study keeps.
    """

    trial_s: Mapping[str, float]
    shared_s: float
    controls_s: Mapping[str, float]
    finalists_s: float
    start_s: float
    pruned_s: float
    unpruned_s: float
    checkpoint_bytes: int
    model_bytes: int


def forecast(
    study: "Study",
    costs: Mapping[str, TrialCost],
    slots: int,
    shared: list[tuple["Job", bool]],
    start: StartUp = _NO_START,
) -> Forecast:
    """Return what a search takes.

    Args:
        study: As checked.
        costs: Backbone to what one of its trials takes.
        slots: Trials at a time.
        shared: The stages that trials share, each with whether it is computed already.
        start: What starting takes.
    """
    search, names = study.search, [backbone.name for backbone in study.backbones]
    order = [names[number % len(names)] for number in range(search.num_trials)]
    num_trials, trial_s, mean_s = Counter(order), dict[str, float](), dict[str, float]()
    shared_s, kept_bytes = 0.0, 0
    for name in names:
        seconds = dict(costs[name].stages_s)
        for job, _ in shared:
            if job.stage == "warmup" or job.config.backbone.name == name:
                seconds.pop(job.stage, None)
        trial_s[name] = sum(seconds.values())
        share = mean_epochs(study, num_trials[name]) / study.max_epochs
        mean_s[name] = trial_s[name] - (1 - share) * seconds["joint"]
        kept_bytes += min(search.num_kept, num_trials[name]) * costs[name].model_bytes
    todo = [job for job, is_ready in shared if not is_ready]
    for stages in ({"warmup", "classifier"}, {"triplet"}):  # The latter begins with the former.
        jobs = [(job.config.backbone.name, job.stage) for job in todo if job.stage in stages]
        shared_s += span((costs[name].stages_s[stage] for name, stage in jobs), slots)
    controls_s = {run.name: control_s(study, run, costs, shared) for run in control_runs(study)}
    finalists_s = sum(_finalists_s(study, costs, trial_s, slots))
    extras = list(controls_s.values())
    trials_s = span([*extras, *(trial_s[name] for name in order)], slots)
    # At least one trial of each backbone runs to its end.
    pruned_s = max(span([*extras, *(mean_s[name] for name in order)], slots), *trial_s.values())
    start_s = _start_s(study, start, has_jobs=bool(todo), has_shared=bool(shared))
    around_s = start_s + shared_s + finalists_s
    checkpoint_bytes = max(cost.checkpoint_bytes for cost in costs.values())
    return Forecast(
        trial_s=trial_s,
        shared_s=shared_s,
        controls_s=controls_s,
        finalists_s=finalists_s,
        start_s=start_s,
        pruned_s=around_s + min(pruned_s, trials_s),
        unpruned_s=around_s + trials_s,
        checkpoint_bytes=2 * min(slots, len(order)) * checkpoint_bytes,
        model_bytes=kept_bytes,
    )


def _start_s(study: "Study", start: StartUp, *, has_jobs: bool, has_shared: bool) -> float:
    """Return the seconds of all starts: workers start anew for stages, and for runs after them."""
    num_starts = 1 + has_jobs
    if study.search.finalists is not None:
        num_starts += 1 + has_shared
    return start.ray_s + num_starts * start.worker_s


def _finalists_s(
    study: "Study", costs: Mapping[str, TrialCost], trial_s: Mapping[str, float], slots: int
) -> Iterator[float]:
    """Yield the seconds of the finalists' stages, shared for each seed, and of their runs."""
    finalists = study.search.finalists
    if finalists is None:
        return
    num_runs = min(finalists.top, -(-study.search.num_trials // len(study.backbones)))
    shared_s, runs_s = [], []
    for name, seconds in trial_s.items():
        whole_s = sum(costs[name].stages_s.values())
        shared_s += [whole_s - seconds] * (finalists.seeds - 1)
        runs_s += [seconds] * num_runs * (finalists.seeds - 1)
    yield from (span(shared_s, slots), span(runs_s, slots))


def control_s(
    study: "Study",
    run: "ExtraRun",
    costs: Mapping[str, TrialCost],
    shared: list[tuple["Job", bool]],
) -> float:
    """Return the seconds of a control, from what a trial takes.

    An epoch of stage 3 on real images takes as long as one of stage 1, with extra images but no GAN
    twice as long.

    Args:
        study: As checked.
        run: The control.
        costs: Backbone to what one of its trials takes.
        shared: The stages that trials share, each with whether it is computed already.
    """
    stages_s, config = costs[run.backbone].stages_s, proposed_config(study, run.proposal(0))
    is_first = run.seed == study.trial.seed
    is_shared = {job.stage for job, _ in shared if job.config.backbone.name == run.backbone}
    own = ["setup", *({"classifier"} - (is_shared if is_first else set()))]
    if arm_of(run.proposal(0)).is_stage_one_only:
        return sum(stages_s[stage] for stage in own)
    if config.joint.has_gan:
        own += {"warmup", "triplet"} - {job.stage for job, _ in shared if is_first}
        return sum(stages_s[stage] for stage in [*own, "joint"])
    epoch_s = stages_s["classifier"] / config.classifier.epochs
    num_images = 1 if config.joint.extra_images == "none" else _EXTRA_EPOCH
    return sum(stages_s[stage] for stage in own) + num_images * epoch_s * config.joint.epochs


def mean_epochs(study: "Study", num_trials: int, done: int = 0) -> float:
    """Return the epochs of stage 3 that a trial runs on average after ``done`` epochs.

    One in ``reduction_factor`` of a backbone's ``num_trials`` passes each rung, at least one trial.
    """
    factor = study.search.reduction_factor
    bounds = (0, *rung_epochs(study.min_epochs, study.max_epochs, factor), study.max_epochs)
    shares = (max(1 / num_trials, factor**-rung) for rung in count())
    stretches = zip(pairwise(bounds), shares, strict=False)
    left = [(end - max(start, done), share) for (start, end), share in stretches if end > done]
    return sum(epochs * share for epochs, share in left) / left[0][1] if left else 0.0


def span(seconds: Iterable[float], slots: int) -> float:
    """Return the seconds until the last work ends, each begun in the slot that is free first."""
    ends = [0.0] * slots
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)
