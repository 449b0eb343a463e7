"""Trials of other studies, as sampler and scheduler need them."""

import math
from collections.abc import Iterable, Mapping

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.trials import OBJECTIVE, TrialRecord
from distill_tune.study.rungs import RungEvent
from distill_tune.study.space import Dimension
from distill_tune.tuning.sampling.costs import epoch_seconds
from distill_tune.tuning.sampling.proposals import PastTrial, raw_point


def continued_pasts(
    trials: Iterable[TrialRecord], dimensions: Mapping[str, Dimension]
) -> dict[str, tuple[PastTrial, ...]]:
    """Return backbone -> its trials; one that is not a whole point of the space is left out."""
    found: dict[str, tuple[PastTrial, ...]] = {}
    for trial in trials:
        raw = raw_point(dimensions, trial.params)
        if raw.keys() == dimensions.keys():
            past = PastTrial(
                number=trial.number,
                backbone=trial.backbone,
                raw=raw,
                status=trial.status,
                value=trial.value,
                intermediate=_objectives(trial),
                infeasible=trial.reason in INFEASIBLE,
                seconds={epoch: epoch_seconds(row) for epoch, row in trial.history.items()},
            )
            found[trial.backbone] = (*found.get(trial.backbone, ()), past)
    return found


def continued_events(trials: Iterable[TrialRecord]) -> list[RungEvent]:
    """Return every report of the trials, one trial after the other; failed ones report nothing."""
    return [
        RungEvent(trial.number, trial.backbone, epoch, value)
        for trial in trials
        if trial.status != "failed"
        for epoch, value in _objectives(trial).items()
    ]


def _objectives(trial: TrialRecord) -> dict[int, float]:
    found = {epoch: metrics.get(OBJECTIVE, math.nan) for epoch, metrics in trial.history.items()}
    return {epoch: value for epoch, value in found.items() if math.isfinite(value)}
