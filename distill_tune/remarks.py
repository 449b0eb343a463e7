"""What a reader has to know of how a confirmation's numbers came about, in words."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from distill_tune.confirm_log import RUN, STARTED, RunRecord
from distill_tune.distill.fitness import UNFIT_AGREEMENT
from distill_tune.fitness_view import is_unfit
from distill_tune.fold import fold
from distill_tune.trials import Event

if TYPE_CHECKING:
    from distill_tune.confirmation import BackboneEvidence


def remarks(
    log: list[Event], records: list[RunRecord], backbones: Iterable["BackboneEvidence"]
) -> Iterator[str]:
    """Yield them: untuned controls, failed seeds, and every way to have seen the test split twice.

    Args:
        log: All events.
        records: The finished runs among them.
        backbones: What they add up to.
    """
    for found in backbones:
        yield from _of_arms(found)
        confirmed = {r.trial for r in records if r.backbone == found.backbone and r.test}
        if len(confirmed) > 1:
            yield (
                f"{found.backbone}: the test split was read for {len(confirmed)} configurations of "
                "the method; choosing among them by it would make the best too good"
            )
    yield from _late_seeds(log)
    yield from _second_readings(records)
    yield from _unfit_generators(log)


def _of_arms(found: "BackboneEvidence") -> Iterator[str]:
    controls = [arm for arm in found.arms if arm.role in {"baseline", "rival"}]
    untuned = [arm.title for arm in controls if not arm.is_tuned]
    if untuned:
        yield f"{found.backbone}: controls untuned: {'; '.join(untuned)}"
    for arm in found.arms:
        if arm.failures:
            number, total = len(arm.failures), len(arm.failures) + len(arm.accuracies)
            reasons = ", ".join(sorted(set(arm.failures.values())))
            yield (
                f"{found.backbone}, {arm.title}: {number} of {total} seeds failed ({reasons}); "
                "pairs with them are left out"
            )


def _late_seeds(log: list[Event]) -> Iterator[str]:
    """Tell of seeds that were added when results were known already."""
    seeds: set[int] = set()
    has_results = False
    for event in log:
        if event.get("event") == STARTED:
            added = set(event["seeds"]) - seeds
            if has_results and added:
                yield f"{len(added)} seeds were added when results of others were known"
            seeds |= added
        has_results |= event.get("event") == RUN and bool(event.get("test"))


def _second_readings(records: list[RunRecord]) -> Iterator[str]:
    first = {run.name: run.test for run in records if run.reading == 1}
    for run in records:
        if run.reading > 1:
            before, now = first.get(run.name, {}), run.test
            is_same = "the same numbers" if before == now else f"{before} then, {now} now"
            yield f"{run.name}: read again on the test split (reading {run.reading}): {is_same}"


def _unfit_generators(log: list[Event]) -> Iterator[str]:
    """Tell of warm-ups of the confirmation, which name their seed, that left an unfit generator."""
    stages = [event for event in log if event.get("event") == "stage"]
    found = {
        stage.key: is_unfit(stage.curve)
        for stage in fold(stages).stages
        if stage.name.startswith("warmup") and " seed=" in stage.name
    }
    unfit = sum(found.values())
    if unfit:
        yield (
            f"{unfit} of {len(found)} warm-ups left a generator that is not fit (agreement below "
            f"{UNFIT_AGREEMENT:g}): arms with a GAN learned wrong labels there"
        )
