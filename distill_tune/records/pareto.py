"""Pareto front of trials: the best values that each amount of time can buy."""

import math
from collections.abc import Iterable

from distill_tune.records.trials import TrialRecord


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
