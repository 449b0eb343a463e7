"""Benchmark ``quality``: what a search finds at equal cost, replayed over recorded real runs.

The arms differ in sampler and pruning alone: each tries the default configuration first, runs two
trials at a time, and pays for starts and joint epochs out of the same budget. What counts is the
winner's accuracy on seeds that no search has seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from tests.benchmarks.quality_replay import Arm, Replay, incumbents
from tests.benchmarks.recorded_table import CONFIRMING_SEEDS, Floats, RecordedTable, read_study
from tests.benchmarks.results import Result

NUM_SEARCHES = 200
FULL_TRIALS = 20
"""Unpruned trials that the whole budget pays for."""
SHARES = (0.25, 0.5, 1.0)

NOTES = (
    (
        "The table: real trials of ResNet-18 on 200 digits of 8x8 pixels (quality.yaml), one seed "
        "seen by the searches, two that confirm, all by validation accuracy. Two dimensions were "
        "added to the four shipped ones so that there is something to find; most of it is in one "
        "of these, the classifier's learning rate in stage 3."
    ),
    (
        f"The budget pays for {FULL_TRIALS} unpruned trials. Proposals are answered by the nearest "
        "recorded point, so a search may meet the same run again. Many pairs end at the same "
        "point: their ratio is 1, and the mean difference says more than the median. The "
        "intervals are over search seeds, on this one table."
    ),
)

Found = Mapping[str, Floats]
"""Arm -> confirmed accuracy of its winners, ``[num_searches, len(SHARES)]``."""


def arms(min_epochs: int) -> dict[str, Arm]:
    """Return the ways to search, ours first.

    Args:
        min_epochs: ASHA's first rung where there is pruning.
    """
    return {
        "TPE + ASHA": Arm(sampler="tpe", min_epochs=min_epochs),
        "TPE": Arm(sampler="tpe", min_epochs=None),
        "random + ASHA": Arm(sampler="random", min_epochs=min_epochs),
        "random": Arm(sampler="random", min_epochs=None),
    }


def run(runs: int, scratch: Path) -> list[Result]:  # noqa: ARG001 - a replay writes nothing
    """Return the comparisons with random search, no pruning and other samplers, paired by seed.

    Args:
        runs: Searches of each arm; at least ``NUM_SEARCHES``, as a replay is cheap.
    """
    from tests.benchmarks.quality_samplers import compare

    study = read_study()
    table = RecordedTable.read(study)
    found, effort = search_all(table, arms(study.min_epochs), max(runs, NUM_SEARCHES))
    numbers = {
        f"{arm}, confirmed accuracy at {_percent(SHARES)} % of the budget": " / ".join(
            f"{mean:.4f}" for mean in found[arm].mean(axis=0)
        )
        for arm in found
    }
    common = numbers | effort | worth_finding(table)
    return [
        _result("quality/random", "random", found, common),
        _result("quality/no-pruning", "TPE", found, {}, NOTES),
        compare(runs),
    ]


def search_all(
    table: RecordedTable, ways: Mapping[str, Arm], num_searches: int
) -> tuple[Found, dict[str, str]]:
    """Search with every arm and seed; return what was found, and with how many trials."""
    budget = FULL_TRIALS * (table.start_epochs + table.num_epochs)
    found: dict[str, Floats] = {}
    effort: dict[str, str] = {}
    for name, arm in ways.items():
        replays = [Replay(table, arm, seed) for seed in range(num_searches)]
        for replay in replays:
            replay.run(budget)
        found[name] = np.array(
            [
                [table.confirmed[trial.point] for trial in incumbents(replay, budget, SHARES)]
                for replay in replays
            ]
        )
        started = np.mean([len(replay.trials) for replay in replays])
        points = np.mean([len({trial.point for trial in replay.trials}) for replay in replays])
        effort[f"{name}, trials started / different points of the table"] = (
            f"{started:.1f} / {points:.1f}"
        )
    return found, effort


def worth_finding(table: RecordedTable) -> dict[str, str]:
    """Return what a table holds: how much there is to find, and how well a search can see it."""
    confirming = table.curves[:, 1:].max(axis=2)
    # All trials of a seed share stage 1: the search compares within a seed.
    shared = confirming.mean(axis=0) - confirming.mean()
    early = table.curves[:, 0, : -(-table.num_epochs // 3)].max(axis=1)
    worth = table.confirmed
    return {
        "points of the table x confirming seeds": f"{len(worth)} x {len(CONFIRMING_SEEDS)}",
        "confirmed accuracy of the table, best / median / worst": (
            f"{worth.max():.4f} / {np.median(worth):.4f} / {worth.min():.4f}"
        ),
        "confirmed accuracy of the default configuration": f"{worth[0]:.4f}",
        "confirmed accuracy of the point with the best seen value": (
            f"{worth[table.seen.argmax()]:.4f}"
        ),
        "seed noise of a point, sd, with / without what a seed does to every point": (
            f"{_noise(confirming):.4f} / {_noise(confirming - shared):.4f}"
        ),
        "spread of the points' confirmed accuracy, sd": f"{worth.std(ddof=1):.4f}",
        "correlation of seen and confirmed": f"{np.corrcoef(table.seen, worth)[0, 1]:.2f}",
        "rank correlation of a third of the epochs with all of them": (
            f"{_rank_correlation(early, table.seen):.2f}"
        ),
        "rank correlation of a third of the epochs with the confirmed value": (
            f"{_rank_correlation(early, worth):.2f}"
        ),
        "start of a trial, joint epochs": f"{table.start_epochs:.2f}",
        "rank correlation of each dimension with the confirmed value": ", ".join(
            f"{path} {_rank_correlation(shares, worth):.2f}"
            for path, shares in zip(table.dimensions, table.units.T, strict=True)
        ),
    }


def _result(
    name: str, rival: str, found: Found, numbers: Mapping[str, str], notes: Sequence[str] = ()
) -> Result:
    ours, theirs = found["TPE + ASHA"], found[rival]
    differences = {
        f"TPE + ASHA minus {rival}, accuracy, at {share:.0%} of the budget": text
        for share, text in zip(SHARES, _intervals(ours - theirs), strict=True)
    }
    return Result(
        name=name,
        what=f"confirmed error of {rival} / of TPE + ASHA, at equal cost",
        ratios=((1 - theirs[:, -1]) / (1 - ours[:, -1])).tolist(),
        floor=1.0,
        bound="at least",
        numbers=differences | dict(numbers),
        notes=[_verdict(rival, ours[:, -1] - theirs[:, -1]), *notes],
    )


def _intervals(differences: Floats) -> Iterator[str]:
    """Yield the mean and its 95 % interval (Student's t) of each column."""
    for column in differences.T:
        mean, half = mean_and_half(column)
        yield f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def mean_and_half(paired: Floats) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval (Student's t)."""
    half = stats.t.ppf(0.975, len(paired) - 1) * stats.sem(paired)
    return float(paired.mean()), float(half)


def _verdict(rival: str, paired: Floats) -> str:
    """Say in words what the paired differences of the whole budget show."""
    mean, half = mean_and_half(paired)
    said = "shows no difference from"
    if abs(mean) > half:
        said = "is better than" if mean > 0 else "is worse than"
    wins, losses = int((paired > 0).sum()), int((paired < 0).sum())
    return (
        f"On this table TPE + ASHA {said} {rival}: better in {wins}, worse in {losses} of "
        f"{len(paired)} searches, a mean difference of {mean:+.4f}."
    )


def _noise(by_seed: Floats) -> float:
    return float(np.sqrt(by_seed.var(axis=1, ddof=1).mean()))


def _rank_correlation(first: Floats, second: Floats) -> float:
    return float(stats.spearmanr(first, second).statistic)


def _percent(shares: Sequence[float]) -> str:
    return " / ".join(f"{100 * share:g}" for share in shares)
