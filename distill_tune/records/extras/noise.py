"""Noise of a seed, estimated from the runs of a search that differ in nothing else."""

import math
import statistics
from collections.abc import Iterator
from typing import NamedTuple

from distill_tune.records.trials import StudyState

_LEAST_FREEDOM = 2
"""Degrees of freedom below which a standard deviation says next to nothing."""


class SeedNoise(NamedTuple):
    """Variation of the objective with the seed alone.

    Attributes:
        deviation: Pooled standard deviation of runs that share everything but the seed.
        freedom: Degrees of freedom: runs minus groups of runs.
    """

    deviation: float
    freedom: int


def seed_noise(state: StudyState, backbone: str) -> SeedNoise | None:
    """Return the noise of a seed, pooled over controls and finalists; None if they are too few.

    A group is a control on several seeds, or a finalist with the value that it had in the search.
    Runs that failed do not count.
    """
    groups = [values for values in _groups(state, backbone) if len(values) > 1]
    freedom = sum(len(values) - 1 for values in groups)
    if freedom < _LEAST_FREEDOM:
        return None
    squares = sum((len(values) - 1) * statistics.variance(values) for values in groups)
    return SeedNoise(math.sqrt(squares / freedom), freedom)


def _groups(state: StudyState, backbone: str) -> Iterator[list[float]]:
    groups: dict[tuple[str, int | None], list[float]] = {}
    for record in state.extras.values():
        run = record.run
        if run.backbone != backbone or run.status != "complete" or run.value is None:
            continue
        key = (record.arm, record.trial)
        if key not in groups:
            first = None if record.trial is None else state.trials.get(record.trial)
            groups[key] = [] if first is None or first.value is None else [first.value]
        groups[key].append(run.value)
    yield from groups.values()
