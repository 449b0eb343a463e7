"""Remarks on how a confirmation's numbers came about."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from distill_tune.confirmation.evidence.statistics import gain_words
from distill_tune.records.confirm_log import EVIDENCE, RUN, STARTED, RunRecord, newest_request
from distill_tune.records.trials import UNFIT_AGREEMENT, Event
from distill_tune.records.words.fitness_text import fitness
from distill_tune.records.words.metric_names import value_text

if TYPE_CHECKING:
    from distill_tune.confirmation.evidence.arm_evidence import ArmEvidence
    from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation


_MUCH = 0.2
"""Share of common training images above which draws are far from independent (Nadeau & Bengio,
"Inference for the Generalization Error", Machine Learning 52, 2003)."""


def remarks(log: list[Event], records: list[RunRecord], found: "Confirmation") -> Iterator[str]:
    """Yield the remarks on a confirmation.

    They cover corrections of p-values, images, untuned controls, failed seeds, unfit generators,
    and every way in which the test split was seen twice.

    Args:
        log: All events.
        records: The finished runs among them.
        found: The results of these runs.
    """
    if found.progress is not None and not found.progress.is_over:
        yield f"unfinished, {found.progress.words}: the same command goes on"
    if found.num_comparisons > 1:
        yield (
            f"Holm's p is corrected for {found.num_comparisons} comparisons, the method with every "
            "arm of every backbone, and so for the choice of the strongest rival (Holm 1979)"
        )
    yield from _of_images(log, records, found)
    for one in found.backbones:
        yield from _of_arms(one, found)
        confirmed = {r.trial for r in records if r.backbone == one.backbone and r.test}
        if len(confirmed) > 1:
            yield (
                f"{one.backbone}: the test split was read for {len(confirmed)} configurations of "
                "the method; choosing among them by its results would bias the best one upwards"
            )
    yield from _late_seeds(log)
    yield from _second_readings(records)


def _of_images(log: list[Event], records: list[RunRecord], found: "Confirmation") -> Iterator[str]:
    left_out = "so the intervals leave out the variance between such subsets"
    request = newest_request(log)
    if found.is_redrawn:
        yield (
            "every seed has training and validation images of its own, the same for all arms; "
            "the test images are the same for all seeds"
        )
        if request.overlap is not None and request.overlap > _MUCH:
            yield (
                f"two seeds have {100 * request.overlap:.0f} % of their training images in common: "
                "for unseen images the intervals are too narrow"
            )
    elif request.wants_redraw:
        yield f"the data set has fixed splits: the same images for every seed, {left_out}"
    else:
        yield f"the same images for every seed (confirm.redraw is off), {left_out}"
    others = [
        run for run in records if run.phase == EVIDENCE and run.is_redrawn != found.is_redrawn
    ]
    if others:
        how = "with the same images for every seed" if found.is_redrawn else "on redrawn images"
        yield f"{len(others)} earlier runs, {how}, are not counted"


def _of_arms(one: "BackboneEvidence", found: "Confirmation") -> Iterator[str]:
    controls = [arm for arm in one.arms if arm.role in {"baseline", "rival"}]
    untuned = [arm.title for arm in controls if arm.is_concerned and not arm.is_tuned]
    if untuned:
        yield f"{one.backbone}: controls untuned: {'; '.join(untuned)}"
    unconcerned = [arm.title for arm in controls if not arm.is_concerned]
    if unconcerned:
        yield f"{one.backbone}: no searched param affects {'; '.join(unconcerned)}"
    yield from _of_combinations(one, found.metric)
    for arm in one.arms:
        yield from _of_failures(f"{one.backbone}, {arm.title}", arm, found)
        yield from _of_generators(f"{one.backbone}, {arm.title}", arm)


def _of_combinations(one: "BackboneEvidence", metric: str) -> Iterator[str]:
    """Yield what the method adds to each addition that it is combined with."""
    titles = {arm.arm: arm.title for arm in one.arms}
    for arm in one.arms:
        if arm.over_control is not None:
            price = f", {arm.control_price.words}" if arm.control_price else ""
            gain = f"{gain_words(arm.over_control, None, metric)}{price} (not corrected)"
            yield f"{one.backbone}: {arm.title}, over {titles[arm.control]} alone: {gain}"


def _of_failures(who: str, arm: "ArmEvidence", found: "Confirmation") -> Iterator[str]:
    total = len({*arm.accuracies, *arm.failures, *arm.lost})
    if arm.failures:
        counted = "pairs with them are left out: no run records the chance level"
        if found.chance is not None:
            counted = f"each counts as chance, {value_text(found.chance, found.metric)}"
        yield f"{who}: {_share(arm.failures, total)} failed; {counted}"
    if arm.lost:
        yield f"{who}: {_share(arm.lost, total)} lost, not counted; the same command repeats them"


def _of_generators(who: str, arm: "ArmEvidence") -> Iterator[str]:
    """Yield on how many of the measured seeds an arm's generator was not fit, if on any."""
    unfit = [value for value in arm.agreements.values() if fitness(value) == "not fit"]
    if unfit:
        total, measured = len({*arm.accuracies, *arm.failures, *arm.lost}), len(arm.agreements)
        seeds = "seeds" if measured >= total else "measured seeds"
        yield (
            f"{who}: the generator was not fit on {len(unfit)} of {measured} {seeds} "
            f"(agreement below {UNFIT_AGREEMENT:g})"
        )


def _share(reasons: Mapping[int, str], total: int) -> str:
    listed = ", ".join(sorted(set(reasons.values())))
    return f"{len(reasons)} of {total} seeds ({listed})"


def _late_seeds(log: list[Event]) -> Iterator[str]:
    """Yield remarks on seeds that were added after results were known."""
    seeds: set[int] = set()
    has_results = False
    for event in log:
        if event.get("event") == STARTED:
            added = set(event["seeds"]) - seeds
            if has_results and added:
                yield f"{len(added)} seeds were added after results of others were known"
            seeds |= added
        has_results |= event.get("event") == RUN and bool(event.get("test"))


def _second_readings(records: list[RunRecord]) -> Iterator[str]:
    first = {run.name: run.test for run in records if run.reading == 1}
    for run in records:
        if run.reading > 1:
            before, now = first.get(run.name, {}), run.test
            is_same = "the same numbers" if before == now else f"{before} then, {now} now"
            yield f"{run.name}: read again on the test split (reading {run.reading}): {is_same}"
