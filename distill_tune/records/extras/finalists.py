"""Finalists of a search: its best trials on several seeds, of which the mean chooses the winner."""

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from distill_tune.records.extras.runs import ExtraRecord
from distill_tune.records.formatting import counted, with_spread
from distill_tune.records.trials import Event, StudyState, TrialRecord, best_of_one_seed


class FinalistPlan(NamedTuple):
    """The finalists of a backbone, as chosen after the search.

    Attributes:
        trials: Numbers of the trials.
        seeds: All seeds; the first is the search's, on which the trials have run.
    """

    trials: tuple[int, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, event: Event) -> "FinalistPlan":
        """Return the plan in an event of the log."""
        return cls(tuple(map(int, event["trials"])), tuple(map(int, event["seeds"])))


class Finalist(NamedTuple):
    """A finalist with its values on all seeds.

    Attributes:
        trial: Number of the trial.
        name: Name of the trial.
        values: Seed to the best objective; None if the run failed. The first is the search's.
        mean: Mean of the values; None if there is none.
        spread: Their standard deviation; None for fewer than two.
        num_failed: How many runs failed.
    """

    trial: int
    name: str
    values: dict[int, float | None]
    mean: float | None
    spread: float | None
    num_failed: int


def ranking(
    plan: FinalistPlan, trials: Mapping[int, TrialRecord], extras: Iterable[ExtraRecord]
) -> tuple[Finalist, ...]:
    """Return the finalists, best first; none until each has run on every seed.

    Fewer failures come first, then the higher mean, then the lower number.
    """
    runs = {
        (record.trial, record.seed): record.run for record in extras if record.kind == "finalist"
    }
    if not set(plan.trials) <= set(trials):
        return ()
    pairs = [(number, seed) for number in plan.trials for seed in plan.seeds[1:]]
    if any(pair not in runs or runs[pair].ended_at is None for pair in pairs):
        return ()
    found = []
    for number in plan.trials:
        values = {plan.seeds[0]: trials[number].value}
        for seed in plan.seeds[1:]:
            run = runs[number, seed]
            values[seed] = run.value if run.status == "complete" else None
        found.append(_finalist(trials[number], values))
    return tuple(sorted(found, key=_rank))


def _finalist(trial: TrialRecord, values: dict[int, float | None]) -> Finalist:
    known = [value for value in values.values() if value is not None]
    return Finalist(
        trial=trial.number,
        name=trial.name,
        values=values,
        mean=statistics.fmean(known) if known else None,
        spread=statistics.stdev(known) if len(known) > 1 else None,
        num_failed=len(values) - len(known),
    )


def _rank(one: Finalist) -> tuple[int, float, int]:
    return (one.num_failed, math.inf if one.mean is None else -one.mean, one.trial)


def finalist_json(one: Finalist) -> dict[str, Any]:
    """Return a finalist as plain data."""
    return {**one._asdict(), "values": {str(seed): value for seed, value in one.values.items()}}


def finalists_json(found: Mapping[str, Iterable[Finalist]]) -> dict[str, list[dict[str, Any]]]:
    """Return the finalists of every backbone as plain data."""
    return {backbone: [finalist_json(one) for one in ones] for backbone, ones in found.items()}


def finalist_sentence(state: StudyState, backbone: str) -> str:
    """Return how the winner of a backbone was chosen among its finalists; empty without them."""
    found = state.finalists.get(backbone, ())
    if not found:
        return ""
    first, num_seeds = found[0], len(found[0].values)
    rivals = counted(len(found), "finalist")
    text = f"trial {first.name} has the highest mean of {rivals} on {num_seeds} seeds"
    text += f", {with_spread(first.mean, first.spread)}"
    alone = best_of_one_seed(state, backbone)
    if alone is None:
        return text
    if alone.number == first.trial:
        return f"{text}; the first seed alone would have chosen it too ({alone.value:#.4g})"
    return f"{text}; the first seed alone would have chosen {alone.name} ({alone.value:#.4g})"


def finalist_sentences(state: StudyState) -> list[str]:
    """Return the sentence of every backbone that has finalists."""
    return [text for name in state.backbones if (text := finalist_sentence(state, name))]
