"""Part of the benchmark ``quality``: the samplers of ``search.sampler``, each with ASHA.

They search both recorded tables: the one of ``quality``, where one dimension decides, and the one
of ``influence``, where noise does, with each seed in turn as the one that is seen.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import get_args

import numpy as np

from distill_tune.study.sections import SamplerName
from tests.benchmarks.influence import turned
from tests.benchmarks.quality import Found, mean_and_half, search_all
from tests.benchmarks.quality_replay import Arm
from tests.benchmarks.recorded_table import (
    INFLUENCE,
    QUALITY,
    SEEDS,
    RecordedTable,
    Recording,
    read_study,
)
from tests.benchmarks.results import Result

OURS: SamplerName = "tpe"
RIVAL: SamplerName = "random"
NUM_SEARCHES = 30
"""Of each sampler on each table: a Gaussian process takes its time."""

_NOTE = (
    "Samplers: all with ASHA, at equal cost; confirmed accuracy at 25 / 50 / 100 % of the budget. "
    "grid has three values of each dimension, of which one is the default. An interval is over "
    "search seeds, of the paired difference from tpe at the whole budget."
)


def compare(runs: int) -> Result:
    """Return what each sampler finds on each table, and the default against random search.

    Args:
        runs: Searches of each sampler on each table; at least ``NUM_SEARCHES``.
    """
    numbers: dict[str, str] = {}
    ratios: list[float] = []
    for name, recording in (("quality", QUALITY), ("influence", INFLUENCE)):
        found = search_table(recording, max(runs, NUM_SEARCHES))
        numbers |= dict(_rows(name, found))
        ratios += ((1 - found[RIVAL][:, -1]) / (1 - found[OURS][:, -1])).tolist()
    return Result(
        name="quality/samplers",
        what=f"confirmed error of {RIVAL} / of {OURS}, both with ASHA, at equal cost",
        ratios=ratios,
        floor=1.0,
        bound="at least",
        numbers=numbers,
        notes=[_NOTE],
    )


def search_table(recording: Recording, num_searches: int) -> Found:
    """Return what each sampler finds on a table, over all seeds that may be seen."""
    study = read_study(recording.study)
    table = RecordedTable.read(study, recording.table)
    tables = [table]
    if recording == INFLUENCE:
        tables = [turned(table, seed) for seed in range(len(SEEDS))]
    names: list[SamplerName] = [
        name for name in get_args(SamplerName) if name != "cmaes" or find_spec("cmaes")
    ]
    arms: dict[str, Arm] = {name: Arm(sampler=name, min_epochs=study.min_epochs) for name in names}
    rounds = [search_all(one, arms, -(-num_searches // len(tables)))[0] for one in tables]
    return {name: np.concatenate([one[name] for one in rounds]) for name in names}


def _rows(table: str, found: Found) -> Iterator[tuple[str, str]]:
    for name, values in found.items():
        text = " / ".join(f"{mean:.4f}" for mean in values.mean(axis=0))
        if name != OURS:
            mean, half = mean_and_half(values[:, -1] - found[OURS][:, -1])
            text += f"; minus {OURS} {mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"
        yield f"{name} on the table of {table}, {len(values)} searches", text
