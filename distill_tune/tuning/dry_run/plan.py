"""The dry run itself: the first proposals, rehearsed as Ray tasks on the resources of a trial."""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from distill_tune.cluster.node_watch import FixedNodes
from distill_tune.cluster.resources import Slots, cluster, present_slots, slots, task_options
from distill_tune.cluster.shared_images import placed
from distill_tune.cluster.task_pool import Failed, Reported, TaskPool
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import RehearsalError
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import TrialRecord
from distill_tune.study.study import Study
from distill_tune.training.memory import is_out_of_memory, memory_detail
from distill_tune.training.peak_memory import largest_config
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import ComputePlace, shared_jobs
from distill_tune.tuning.dry_run.forecast import Forecast, StartUp, TrialCost, forecast
from distill_tune.tuning.dry_run.rehearsal import rehearse_task
from distill_tune.tuning.opening_lines import image_lines, introduction
from distill_tune.tuning.run_options import RunOptions, Views
from distill_tune.tuning.tuner import make_sampler

_NUM_PROPOSALS, _MOST_AT_ONCE = 3, 64


class DryRun(NamedTuple):
    """What a dry run found.

    Attributes:
        study: As checked.
        proposals: The first of the search: ``{"backbone": ..., "number": ..., "params": ...}``.
        slots: Of its cluster.
        costs: Backbone to what one of its trials takes.
        shared: Names of the stages that trials share, each with whether it is computed already.
        forecast: What the whole search takes.
    """

    study: Study
    proposals: list[dict[str, Any]]
    slots: Slots
    costs: dict[str, TrialCost]
    shared: dict[str, bool]
    forecast: Forecast


class Measured(NamedTuple):
    """What the rehearsal of a study's first configurations found.

    Attributes:
        slots: Of the cluster; with ``gpus: fit``, as many as fit by the memory found.
        proposals: As in :class:`DryRun`, possibly more.
        costs: Backbone to what one of its trials takes.
        worker_s: Seconds in which a worker starts.
    """

    slots: Slots
    proposals: list[dict[str, Any]]
    costs: dict[str, TrialCost]
    worker_s: float = 0.0


def dry_run(
    study: Study,
    directory: StudyDirectory,
    images: ImageData,
    options: RunOptions,
    continued: Sequence[TrialRecord] = (),
) -> DryRun:
    """Rehearse a study's first configurations on the machines of its search; write nothing.

    Args:
        study: The study.
        directory: Directory of the study.
        images: Images of the study.
        options: How to run.
        continued: Trials that the search takes over from other studies.

    Raises:
        InputError: No cluster at the address, or no node that can hold a trial.
        RehearsalError: A trial cannot run.
    """
    lines = [introduction(f"{study.study} (dry run)", images, options.address)]
    lines += [
        *image_lines(images, study.search.metric),
        *(f"warning: {text}" for text in images.warnings),
    ]
    for line in lines:
        options.views.say(line)
    began = time.monotonic()
    with cluster(options.address):
        ray_s = time.monotonic() - began
        found = measure(study, images, options.views, continued)
    store = StageStore(directory.path(), images.digest, ComputePlace.of(found.slots.bundle))
    jobs = shared_jobs(study) if options.is_sharing else []
    shared = [(job, store.is_there(job.stage, job.config)) for job in jobs]
    ready = {job.name: is_ready for job, is_ready in shared}
    start = StartUp(ray_s, found.worker_s)
    guess = forecast(study, found.costs, found.slots.count, shared, start)
    proposals = found.proposals[:_NUM_PROPOSALS]
    return DryRun(study, proposals, found.slots, found.costs, ready, guess)


def measure(
    study: Study, images: ImageData, views: Views, continued: Sequence[TrialRecord] = ()
) -> Measured:
    """Rehearse a study's first configurations; Ray must be running.

    The trials that the search takes over are those of :func:`dry_run`.

    Raises:
        InputError: No node can hold a trial.
        RehearsalError: A trial cannot run.
    """
    found, sampler = slots(study.resources), make_sampler(study, continued=continued)
    at_once = min(found.count, study.search.num_trials, _MOST_AT_ONCE)
    # Every backbone is tried, in full slots: trials that run side by side slow each other.
    num_tried = at_once * -(-len(study.backbones) // at_once)
    drawn = [sampler.suggest(f"dry-{n}") for n in range(max(num_tried, _NUM_PROPOSALS))]
    proposals = [one for one in drawn if isinstance(one, dict)]
    costs, worker_s = _costs(study, proposals[:num_tried], images, found, views)
    uses = {name: cost.gpu for name, cost in costs.items() if cost.gpu is not None}
    return Measured(present_slots(study, found, uses), proposals, costs, worker_s)


def _costs(
    study: Study, drawn: Sequence[dict[str, Any]], images: ImageData, found: Slots, views: Views
) -> tuple[dict[str, TrialCost], float]:
    """Rehearse these proposals.

    Returns:
        What a trial of each backbone takes, and the seconds in which the first worker started.
    """
    waiting = [
        (study.trial_config(*proposed), largest_config(study, *proposed))
        for proposed in ((one["backbone"], one["params"]) for one in drawn)
    ]
    by_backbone: dict[str, list[TrialCost]] = defaultdict(list)
    began, worker_s = time.monotonic(), math.inf
    where, nodes, options = placed(images), FixedNodes(found.count), task_options(found.bundle)
    with TaskPool[TrialConfig](nodes, options) as pool:
        while waiting or pool.works:
            while waiting and pool.has_room:
                config, largest = waiting.pop(0)
                pool.start(config, rehearse_task, config, largest, where, found.bundle)
            for event in pool.listen():
                name = event.work.backbone.name
                if isinstance(event, Failed):
                    raise _refusal(event, found) from event.error
                if isinstance(event, Reported) and event.value is None:
                    worker_s = min(worker_s, time.monotonic() - began)
                elif isinstance(event, Reported):
                    by_backbone[name].append(event.value)
                    views.say(
                        f"measured {name}: {sum(map(len, by_backbone.values()))} of {len(drawn)}"
                    )
    costs = {one.name: mean_cost(by_backbone[one.name]) for one in study.backbones}
    return costs, worker_s


def mean_cost(costs: Sequence[TrialCost]) -> TrialCost:
    """Return the mean times of several trials of one backbone, and the sizes of the largest."""
    mean_s = {key: statistics.mean(one.stages_s[key] for one in costs) for key in costs[0].stages_s}
    largest = max(costs, key=lambda one: one.gpu.memory_bytes if one.gpu else 0)
    return largest._replace(stages_s=mean_s)


def _refusal(failed: Failed[TrialConfig], found: Slots) -> RehearsalError:
    why = failed.detail
    if failed.error is not None and is_out_of_memory(failed.error):
        why = memory_detail(failed.work, str(failed.error), share=found.bundle.get("GPU", 1))
    return RehearsalError(f"a trial of {failed.work.backbone.name} cannot run here: {why}")
