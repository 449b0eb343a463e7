"""Status of a study, read from its records, for programs and the terminal."""

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from distill_tune.records.continued import continued_sentences
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.extras.computing import NO_HOURS, Hours, computing_s, hours, trial_device
from distill_tune.records.extras.finalists import Finalist, finalist_sentences, finalists_json
from distill_tune.records.extras.quoted import QuotedValue, quoted_values
from distill_tune.records.extras.runs import Controls, comparison_lines, control_json, controls
from distill_tune.records.gpu_use import GpuUse, fitting, gpu_uses
from distill_tune.records.pareto import FrontTrial, fronts, has_costs
from distill_tune.records.replay import fold
from distill_tune.records.running import StudyStatus, is_search_running, study_status
from distill_tune.records.stops import stop_words
from distill_tune.records.trials import (
    Event,
    FidelityPoint,
    StageRecord,
    StudyState,
    TrialRecord,
    best,
)
from distill_tune.records.words.fitness_text import fitness, last


class StageInfo(NamedTuple):
    """A stage shared by trials, summed over all its uses.

    Attributes:
        seconds: Time to compute it, here or in another study.
        cached: Whether this study always found it ready.
        hits: Trials that reused it instead of computing it.
        saved_s: Time that this saved them, minus the time spent on it here.
        steps: Epochs or generator steps taken; 0 if an older log does not record them.
        max_steps: Maximum number of steps if it ended by itself; otherwise None.
        curve: Measurements of the generator in training, oldest first; empty for a classifier.
    """

    name: str
    key: str
    seconds: float
    cached: bool
    hits: int
    saved_s: float
    steps: int = 0
    max_steps: int | None = None
    curve: tuple[FidelityPoint, ...] = ()


def is_of_search(stage: str) -> bool:
    """Return whether a shared stage is part of the search; a confirmation's name their seed."""
    return " seed=" not in stage


class StatusInfo(NamedTuple):
    """Status of a study.

    Attributes:
        metric: Metric that trials are compared by; empty if it is not recorded.
        counts: Backbone -> trial outcome -> number of trials. While no search runs, unfinished
            trials count as ``interrupted`` instead of ``running``.
        best: Backbone -> its winner; None while no trial has a value.
        quoted: Backbone -> the value to quote of its winner; missing while there is none.
        elapsed_s: Seconds in which a search ran, over all sessions.
        computed: Hours that it has computed, controls and finalists included.
        disk_bytes: Size of the whole study directory.
        packing: Backbone -> a trial's use of a GPU, if it was measured.
        controls: Backbone -> arm -> the record of its control.
        comparison: What the best of each backbone must beat, and how it was chosen, in words.
        finalists: Backbone -> its finalists, best first; missing until all have run.
        continued: One sentence per backbone that continues trials of other studies.
        stop: Why a rule stopped the newest session, in words; empty if none did.
        front: Pareto fronts of all backbones, if the search has two objectives.
    """

    study: str
    root: str
    state: StudyStatus
    counts: dict[str, dict[str, int]]
    best: dict[str, TrialRecord | None]
    elapsed_s: float
    stages: tuple[StageInfo, ...]
    disk_bytes: int
    warnings: tuple[str, ...]
    packing: dict[str, GpuUse]
    controls: Controls
    comparison: tuple[str, ...]
    finalists: Mapping[str, tuple[Finalist, ...]]
    continued: tuple[str, ...] = ()
    stop: str = ""
    front: tuple[FrontTrial, ...] = ()
    quoted: Mapping[str, QuotedValue] = MappingProxyType({})
    computed: Hours = NO_HOURS
    metric: str = ""


def status_info(directory: StudyDirectory, events: list[Event] | None = None) -> StatusInfo:
    """Return the status of a study, read from its records.

    Args:
        directory: The study.
        events: Its log, if already read; None: it is read.

    Raises:
        StudyError: There is no study.
    """
    directory.require()
    events = directory.events() if events is None else events
    state = fold(events)
    now = time.time()
    status = study_status(state, directory.in_use(), now)
    uses = gpu_uses(events)
    is_searching = is_search_running(state, status)
    since = now - state.sessions[-1].ended_at if is_searching else 0.0
    return StatusInfo(
        study=directory.name,
        root=directory.root,
        state=status,
        counts=_counts(state, running=is_searching),
        best={backbone: best(state, backbone) for backbone in state.backbones},
        elapsed_s=state.elapsed_s + since,
        stages=_stages(state),
        disk_bytes=directory.disk_bytes(),
        warnings=state.warnings,
        packing=uses,
        controls=controls(state),
        comparison=(*comparison_lines(state), *finalist_sentences(state)),
        finalists=state.finalists,
        continued=continued_sentences(state),
        stop="" if state.stop is None else stop_words(state.stop),
        front=fronts(state) if has_costs(events) else (),
        quoted=quoted_values(state),
        computed=hours(computing_s(state), trial_device(_resources(events), uses)),
        metric=state.metric,
    )


def _resources(events: list[Event]) -> object:
    """Return the resources of a trial in the newest session; None if they are not recorded."""
    studies = [event.get("study") for event in events if event["event"] == "session_started"]
    newest = studies[-1] if studies else None
    return newest.get("resources") if isinstance(newest, Mapping) else None


def _counts(state: StudyState, *, running: bool) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {backbone: {} for backbone in state.backbones}
    for trial in state.trials.values():
        outcome = trial.outcome(is_running=running)
        counts[trial.backbone][outcome] = counts[trial.backbone].get(outcome, 0) + 1
    return counts


def _stages(state: StudyState) -> tuple[StageInfo, ...]:
    by_key: dict[str, list[StageRecord]] = {}
    for record in state.stages:
        by_key.setdefault(record.key, []).append(record)
    return tuple(_stage(records, state.adopted.get(key, 0)) for key, records in by_key.items())


def _stage(records: list[StageRecord], hits: int) -> StageInfo:
    cost_s = max(record.cost_s for record in records)
    spent_s = sum(record.seconds for record in records if not record.cached)
    return StageInfo(
        name=records[0].name,
        key=records[0].key,
        seconds=spent_s or cost_s,
        cached=all(record.cached for record in records),
        hits=hits,
        saved_s=hits * cost_s - spent_s,
        steps=records[-1].steps,
        max_steps=records[-1].max_steps,
        curve=records[-1].curve,
    )


def status_json(info: StatusInfo) -> dict[str, Any]:
    """Return a status as JSON data; numbers that are not finite become null."""
    plain = info._asdict() | {
        "best": {backbone: _best_json(info, backbone) for backbone in info.best},
        "stages": [_stage_json(stage) for stage in info.stages],
        "computed": {
            "unit": info.computed.unit,
            "total": info.computed.total,
            **info.computed.by_kind._asdict(),
        },
        "warnings": list(info.warnings),
        "packing": {
            backbone: {**use._asdict(), "trials_per_gpu": fitting(use)}
            for backbone, use in info.packing.items()
        },
        "finalists": finalists_json(info.finalists),
        "controls": {
            backbone: {arm: control_json(record) for arm, record in records.items()}
            for backbone, records in info.controls.items()
        },
    }
    del plain["quoted"]
    result: dict[str, Any] = plain_json(plain)
    return result


def _stage_json(stage: StageInfo) -> dict[str, Any]:
    end = last(stage.curve)
    return stage._asdict() | {"fitness": fitness(end.agreement) if end is not None else None}


def _best_json(info: StatusInfo, backbone: str) -> dict[str, Any] | None:
    trial = info.best[backbone]
    if trial is None:
        return None
    names = ("number", "name", "status", "value", "epochs", "params", "metrics", "seconds")
    return {name: getattr(trial, name) for name in names} | info.quoted[backbone]._asdict()


def plain_json(value: Any) -> Any:
    """Return JSON data: named tuples become mappings, numbers that are not finite None."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(name): plain_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
