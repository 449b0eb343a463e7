"""Benchmark ``influence``: do the four searched parameters act, and does a search use it?

A table of real runs over the four shipped dimensions alone, each point on several seeds with images
of their own. The first answer is an analysis of variance; the second a replay of searches over the
table, in which each seed in turn is the one that is searched.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.influence_analysis import Influence, Interval, influence
from tests.benchmarks.quality import (
    FULL_TRIALS,
    NUM_SEARCHES,
    SHARES,
    Found,
    arms,
    mean_and_half,
    search_all,
    worth_finding,
)
from tests.benchmarks.recorded_table import INFLUENCE, SEEDS, Floats, RecordedTable, read_study
from tests.benchmarks.results import Result

OURS, RIVAL = "TPE + ASHA", "random"
ENOUGH = 2
"""Dimensions that are to act."""

NOTES = (
    (
        "The table: influence.yaml, real trials at points of a Sobol sequence over the four "
        "shipped dimensions alone, on seeds that draw their own images. A share is one of the "
        "variance of a single run's best validation accuracy: Type II sums of squares of a line "
        "and a parabola on the means over seeds, noise subtracted. Effects are points of accuracy "
        "per standard deviation of the dimension, with bootstrap intervals over points; a "
        "dimension acts where the F test of line and parabola has p < 0.05. Recorded by "
        "python -m tests.benchmarks.record_table influence --points 64 --processes 2."
    ),
    (
        f"Searches: each seed in turn is seen, the others confirm; the budget pays for "
        f"{FULL_TRIALS} unpruned trials. The interval is over search seeds, on this one table."
    ),
)


def run(runs: int, scratch: Path) -> list[Result]:  # noqa: ARG001 - a replay writes nothing
    """Return how many dimensions act, and TPE with ASHA against random search at equal cost.

    Args:
        runs: Searches of each arm over all seen seeds; at least ``NUM_SEARCHES``.
    """
    study = read_study(INFLUENCE.study)
    table = RecordedTable.read(study, INFLUENCE.table)
    return [dimensions(table), searches(table, study.min_epochs, max(runs, NUM_SEARCHES))]


def dimensions(table: RecordedTable) -> Result:
    """Return what each dimension explains."""
    found = influence(table.units, table.curves.max(axis=2))
    last = influence(table.units, table.curves[:, :, -1])
    paths = list(table.dimensions)
    acting = [path for path, effect in zip(paths, found.effects, strict=True) if effect.acts]
    return Result(
        name="influence/dimensions",
        what="searched dimensions that act",
        ratios=[float(len(acting))],
        floor=float(ENOUGH),
        bound="at least",
        numbers=_described(paths, found, "best epoch") | _described(paths, last, "last epoch"),
        notes=[_said(paths, acting), *NOTES],
        data=_as_data(paths, found),
    )


def searches(table: RecordedTable, min_epochs: int, num_searches: int) -> Result:
    """Return TPE with ASHA against random search, paired by search seed."""
    ways = arms(min_epochs)
    per_seed = -(-num_searches // len(SEEDS))
    rounds = [search_all(turned(table, seed), ways, per_seed)[0] for seed in range(len(SEEDS))]
    found: Found = {name: np.concatenate([one[name] for one in rounds]) for name in ways}
    ours, theirs = found[OURS][:, -1], found[RIVAL][:, -1]
    gain = _gain(ours - theirs)
    confirmed = {
        f"{name}, confirmed accuracy at {_percents()} of the budget": " / ".join(
            f"{mean:.4f}" for mean in values.mean(axis=0)
        )
        for name, values in found.items()
    }
    gains = {
        f"{OURS} minus {name}, accuracy": _written(_gain(ours - values[:, -1]), 1)
        for name, values in found.items()
        if name != OURS
    }
    gains |= {
        f"{OURS} minus {RIVAL}, accuracy, seed {seed} seen": _written(
            _gain((one[OURS] - one[RIVAL])[:, -1]), 1
        )
        for seed, one in enumerate(rounds)
    }
    return Result(
        name="influence/random",
        what=f"mean confirmed error of {RIVAL} / of {OURS}, at equal cost, by seen seed",
        # Of means: most pairs of searches end at the same point, and their median is 1.
        ratios=[
            float(np.mean(1 - one[RIVAL][:, -1]) / np.mean(1 - one[OURS][:, -1])) for one in rounds
        ],
        floor=1.0,
        bound="at least",
        numbers=gains | confirmed | worth_finding(table),
        data={"gain_over_random": gain._asdict()},
    )


def turned(table: RecordedTable, seed: int) -> RecordedTable:
    """Return the table with another seed in the place of the one that searches see."""
    return replace(table, curves=np.roll(table.curves, -seed, axis=1))


def _gain(paired: Floats) -> Interval:
    mean, half = mean_and_half(paired)
    return Interval(mean, mean - half, mean + half)


def _described(paths: Sequence[str], found: Influence, when: str) -> dict[str, str]:
    texts = {
        f"{path}, {when}": (
            f"share {effect.share:.1%}, effect {_written(effect.slope)}, "
            f"curvature {_written(effect.curvature)}, p {effect.p:.2g}"
        )
        for path, effect in zip(paths, found.effects, strict=True)
    }
    texts[f"interactions / seeds (of it in common), {when}"] = (
        f"{found.other_share:.1%} / {found.seed_share:.1%} ({found.block_share:.1%})"
    )
    return texts


def _as_data(paths: Sequence[str], found: Influence) -> dict[str, Any]:
    by_path = dict(zip(paths, found.effects, strict=True))
    return {
        "shares": {path: round(effect.share, 4) for path, effect in by_path.items()},
        "seed_share": round(found.seed_share, 4),
        "other_share": round(found.other_share, 4),
        "effects": {
            path: {
                "slope": effect.slope._asdict(),
                "curvature": effect.curvature._asdict(),
                "p": effect.p,
            }
            for path, effect in by_path.items()
        },
    }


def _said(paths: Sequence[str], acting: Sequence[str]) -> str:
    idle = [path for path in paths if path not in acting]
    return (
        f"On this table {_listed(acting)} {'act' if len(acting) != 1 else 'acts'}; "
        f"no effect is shown of {_listed(idle)}."
    )


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths) or "none"


def _written(interval: Interval, factor: float = 100) -> str:
    value, low, high = (factor * number for number in interval)
    digits = 2 if factor > 1 else 4
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _percents() -> str:
    return " / ".join(f"{share:.0%}" for share in SHARES)
