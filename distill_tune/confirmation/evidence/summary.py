"""Results of a confirmation in a study's log: arms on fresh seeds, their gains, the verdicts."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from distill_tune.confirmation.evidence.arm_evidence import (
    ArmEvidence,
    arm_evidence,
    chance_level,
    with_effects,
)
from distill_tune.confirmation.evidence.remarks import remarks
from distill_tune.confirmation.evidence.statistics import Compared, mean_and_spread, verdict
from distill_tune.records.confirm_log import (
    CHOSEN,
    EVIDENCE,
    READING,
    Asked,
    RunRecord,
    asked_for,
    run_records,
)
from distill_tune.records.trials import Event


class BackboneEvidence(NamedTuple):
    """Evidence on whether the method helps a backbone.

    Attributes:
        trial: Name of the confirmed trial.
        search_value: Value of the trial in the search.
        confirmed_value: Mean of the same metric over the fresh seeds that did not fail; nan if all
            failed.
        confirmed_spread: Standard deviation over these seeds.
        failed_seeds: How many seeds failed, such as ``2 of 5 failed``; empty if none did.
        arms: Results of the arms, in the order of the tables.
        baseline: The strictest baseline that was run; None without one.
        rival: The arm with the greatest mean, or the one that the study names, among the arms that
            are not a baseline and contain no part of the method. Its p-value is corrected for all
            arms in both cases; the choice biases the gain unless the study names the rival.
        rival_choice: How the rival was chosen, in words.
        verdict: One sentence.
    """

    backbone: str
    trial: str
    search_value: float
    confirmed_value: float
    confirmed_spread: float | None
    failed_seeds: str
    arms: tuple[ArmEvidence, ...]
    baseline: ArmEvidence | None
    rival: ArmEvidence | None
    rival_choice: str
    verdict: str

    @property
    def method(self) -> ArmEvidence | None:
        """The method's own arm."""
        return next((arm for arm in self.arms if arm.role == "method"), None)


class Confirmation(NamedTuple):
    """Results of a confirmation, with remarks on how the numbers came about.

    Attributes:
        metric: Metric of the test split: ``accuracy`` or ``balanced_accuracy``.
        num_readings: Number of models that were read on the test split.
        is_redrawn: Whether every seed has its own training and validation images.
        num_comparisons: Number of comparisons whose p-values are corrected together: the method
            with all arms of all backbones.
        chance: Value of a failed seed; None if no run records it.
        remarks: In words: second readings, seeds added later, untuned controls, failed seeds.
    """

    metric: str
    backbones: tuple[BackboneEvidence, ...]
    num_readings: int
    is_redrawn: bool
    num_comparisons: int
    chance: float | None
    remarks: tuple[str, ...]


def confirmation(events: Iterable[Event]) -> Confirmation | None:
    """Return the results for the newest choice of each backbone; None without any evidence."""
    log = list(events)
    chosen = {event["backbone"]: event for event in log if event.get("event") == CHOSEN}
    records, asked = run_records(log), asked_for(log)
    counted = _counted(records, chosen, is_redrawn=asked.overlap is not None)
    runs = {
        backbone: found
        for backbone in chosen
        if (found := [run for run in counted if run.backbone == backbone])
    }
    if not runs:
        return None
    metric = str(next(iter(chosen.values()))["metric"]).removeprefix("val/")
    chance = chance_level(records, metric)
    arms = with_effects({name: arm_evidence(found, metric, chance) for name, found in runs.items()})
    draft = Confirmation(
        metric=metric,
        backbones=tuple(_backbone(chosen[name], runs[name], arms[name], asked) for name in runs),
        num_readings=len({(e["run"], e["reading"]) for e in log if e.get("event") == READING}),
        is_redrawn=counted[0].is_redrawn,
        num_comparisons=sum(arm.adjusted_p is not None for found in arms.values() for arm in found),
        chance=chance,
        remarks=(),
    )
    return draft._replace(remarks=tuple(remarks(log, records, draft)))


def _counted(
    records: Iterable[RunRecord], chosen: Mapping[str, Event], *, is_redrawn: bool
) -> list[RunRecord]:
    """Return the runs that count: first readings of the newest choice, on images drawn alike.

    Runs on redrawn images are never paired with runs on the same images for every seed. If a log
    has both, only the kind that was requested last counts, as soon as it has a run.
    """
    found = [
        run
        for run in records
        if run.phase == EVIDENCE and run.reading <= 1
        if run.backbone in chosen and run.trial == chosen[run.backbone]["trial"]
    ]
    return [run for run in found if run.is_redrawn == is_redrawn] or found


def _backbone(
    choice: Event, runs: list[RunRecord], arms: tuple[ArmEvidence, ...], asked: Asked
) -> BackboneEvidence:
    newest = {run.arm: run.key for run in runs}
    of_method = [run for run in runs if run.role == "method" and run.key == newest[run.arm]]
    values = [run.value for run in of_method if run.value is not None]
    value, spread = mean_and_spread(values)
    num_failed = sum(run.has_failed for run in of_method)
    baselines = {arm.arm: arm for arm in arms if arm.role == "baseline" and arm.accuracies}
    baseline = baselines.get("equal_steps") or baselines.get("baseline")
    rivals = [arm for arm in arms if arm.role == "rival" and arm.accuracies]
    if asked.rival is not None:
        rivals = [arm for arm in rivals if arm.arm == asked.rival]
    rival = max(rivals, key=lambda arm: arm.mean, default=None)
    what, how = "its rival", f", named {asked.when}"
    if asked.rival is None:
        what, how = "its strongest rival", f", the highest mean of {len(rivals)}"
    return BackboneEvidence(
        backbone=choice["backbone"],
        trial=choice["name"],
        search_value=float(choice["search_value"]),
        confirmed_value=value,
        confirmed_spread=spread,
        failed_seeds=f"{num_failed} of {num_failed + len(values)} failed" if num_failed else "",
        arms=arms,
        baseline=baseline,
        rival=rival,
        rival_choice=how.removeprefix(", "),
        verdict=verdict(_compared(baseline, "the baseline"), _compared(rival, what, how)),
    )


def _compared(arm: ArmEvidence | None, what: str, how: str = "") -> Compared | None:
    if arm is None or arm.method_over is None:
        return None
    shown = arm.effect or "no evidence"
    return Compared(what, f"{arm.title}{how}", arm.method_over, arm.adjusted_p, shown)
