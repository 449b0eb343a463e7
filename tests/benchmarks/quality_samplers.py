"""Part of the benchmark ``quality``: the samplers of ``search.sampler``, each with ASHA.

They search both recorded tables: the one of ``quality``, where one dimension decides, and the one
of ``influence``, where noise does, with each seed in turn as the one that is seen.
"""

import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple, get_args

import numpy as np

from distill_tune.study.sections import SamplerName
from tests.benchmarks.influence import turned
from tests.benchmarks.quality import NUM_SEARCHES, mean_and_half, search_all
from tests.benchmarks.quality_replay import Arm
from tests.benchmarks.recorded_table import (
    INFLUENCE,
    QUALITY,
    SEEDS,
    Floats,
    RecordedTable,
    Recording,
    read_study,
)
from tests.benchmarks.results import Result

OURS: SamplerName = "tpe"
RIVAL: SamplerName = "random"
NUM_GP_SEARCHES = 60
"""On each table: a Gaussian process takes its time."""

_NOTE = (
    "Samplers: all with ASHA, at equal cost, on the tables of quality and influence; confirmed "
    "accuracy at 25 / 50 / 100 % of the budget. grid has three values of each dimension, of which "
    "one is the default. An interval is over search seeds, of the paired difference from tpe at "
    "the whole budget, not corrected for their number. CPU time is that of the proposals and the "
    "replay, without training."
)


class Searches(NamedTuple):
    """What the searches of one sampler on one table found.

    Attributes:
        confirmed: Accuracy of the winners, ``[num_searches, len(SHARES)]``.
        cpu_s: CPU seconds of one search, the mean.
    """

    confirmed: Floats
    cpu_s: float


Found = dict[SamplerName, Searches]


def compare(runs: int) -> Result:
    """Return what each sampler finds on each table, and the default against random search.

    Args:
        runs: Searches of each sampler on each table; at least ``NUM_SEARCHES``, of GP at least
            ``NUM_GP_SEARCHES``.
    """
    quick = [name for name in get_args(SamplerName) if name != "gp"]
    if find_spec("cmaes") is None:
        quick.remove("cmaes")
    numbers: dict[str, str] = {}
    ratios: list[float] = []
    for table, recording in (("quality", QUALITY), ("influence", INFLUENCE)):
        found = search_table(recording, quick, max(runs, NUM_SEARCHES))
        with_gp = search_table(recording, (OURS, "gp"), max(runs, NUM_GP_SEARCHES))
        numbers |= dict((*rows(table, found), *rows(table, with_gp)))
        errors = [1 - found[name].confirmed[:, -1] for name in (RIVAL, OURS)]
        ratios += (errors[0] / errors[1]).tolist()
    return Result(
        name="quality/samplers",
        what=f"confirmed error of {RIVAL} / of {OURS}, both with ASHA, at equal cost",
        ratios=ratios,
        floor=1.0,
        bound="at least",
        numbers=numbers,
        notes=[_NOTE],
    )


def search_table(recording: Recording, names: Sequence[SamplerName], num_searches: int) -> Found:
    """Return what each sampler finds on a table, over all seeds that may be seen."""
    study = read_study(recording.study)
    tables = [RecordedTable.read(study, recording.table)]
    if recording == INFLUENCE:
        tables = [turned(tables[0], seed) for seed in range(len(SEEDS))]
    per_table, found = -(-num_searches // len(tables)), Found()
    for name in names:
        arm, before = Arm(sampler=name, min_epochs=study.min_epochs), time.process_time()
        rounds = [search_all(table, {name: arm}, per_table)[0][name] for table in tables]
        seconds = time.process_time() - before
        found[name] = Searches(np.concatenate(rounds), seconds / (per_table * len(tables)))
    return found


def rows(table: str, found: Found) -> Iterator[tuple[str, str]]:
    """Yield what each sampler found on a table, with its paired difference from the default."""
    for name, (confirmed, cpu_s) in found.items():
        text = " / ".join(f"{mean:.4f}" for mean in confirmed.mean(axis=0))
        if name != OURS:
            mean, half = mean_and_half(confirmed[:, -1] - found[OURS].confirmed[:, -1])
            text += f"; minus {OURS} {mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"
        yield (
            f"{name} on the table of {table}, {len(confirmed)} searches",
            f"{text}; {cpu_s:.2f} s of CPU time a search",
        )
