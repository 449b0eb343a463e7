"""Pareto front of trials: the best values that each amount of time can buy."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from distill_tune.records.formatting import distinct_durations
from distill_tune.records.trials import Event, StudyState, TrialRecord


class FrontTrial(NamedTuple):
    """A trial of a Pareto front.

    Attributes:
        trial: Name of the trial.
        value: Its value.
        seconds: Seconds that it spent in its own stages.
    """

    backbone: str
    trial: str
    value: float
    seconds: float


def trial_seconds(trial: TrialRecord) -> float:
    """Return the seconds that a trial spent in its own stages, without those that it shares."""
    return sum(trial.seconds.values())


def pareto_front(trials: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Return the trials that no other one beats in value without taking longer, fastest first.

    Only complete trials are compared, as all of them have the same number of epochs; while there
    are none, pruned ones are. Of equal trials, the one with the lowest number is kept.
    """
    over = [t for t in trials if t.value is not None and t.status in {"complete", "pruned"}]
    complete = [trial for trial in over if trial.status == "complete"]
    ranked = sorted(complete or over, key=lambda t: (trial_seconds(t), -(t.value or 0.0), t.number))
    front: list[TrialRecord] = []
    highest = -math.inf
    for trial in ranked:
        if trial.value is not None and trial.value > highest:
            front.append(trial)
            highest = trial.value
    return tuple(front)


def fronts(state: StudyState) -> tuple[FrontTrial, ...]:
    """Return the Pareto fronts of all backbones, one after the other, each fastest first."""
    return tuple(
        FrontTrial(backbone, trial.name, trial.value or 0.0, trial_seconds(trial))
        for backbone in state.backbones
        for trial in pareto_front(t for t in state.trials.values() if t.backbone == backbone)
    )


def front_sentences(front: Iterable[FrontTrial]) -> tuple[str, ...]:
    """Return the Pareto front of each backbone in words."""
    found: dict[str, list[FrontTrial]] = {}
    for one in front:
        found.setdefault(one.backbone, []).append(one)
    return tuple(
        f"Pareto front of {backbone}, fastest first: {_listed(trials)}"
        for backbone, trials in found.items()
    )


def _listed(trials: Sequence[FrontTrial]) -> str:
    times = distinct_durations([one.seconds for one in trials])
    shown = zip(trials, times, strict=True)
    return ", ".join(f"{one.trial} {one.value:.4f} in {time}" for one, time in shown)


def has_costs(events: Iterable[Event]) -> bool:
    """Return whether less time is an objective of the newest session of a log."""
    found: Any = ()
    for event in events:
        study = event.get("study")
        if event.get("event") == "session_started" and isinstance(study, Mapping):
            search = study.get("search")
            found = search.get("objectives") if isinstance(search, Mapping) else ()
    return bool(found)
