"""Results of a confirmation in a study's log: arms on fresh seeds, their gains, the verdicts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from distill_tune.confirmation.evidence.arm_evidence import (
    ArmEvidence,
    arm_evidence,
    chance_level,
    with_effects,
)
from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation
from distill_tune.confirmation.evidence.remarks import remarks
from distill_tune.confirmation.evidence.statistics import Compared, mean_and_spread, verdict
from distill_tune.records.confirm_log import (
    CHOSEN,
    EVIDENCE,
    READING,
    SYNTHETIC,
    ConfirmRequest,
    RunRecord,
    newest_request,
    run_records,
)
from distill_tune.records.trials import Event
from distill_tune.records.words.metric_names import without_split


def confirmation(events: Iterable[Event]) -> Confirmation | None:
    """Return the results for the newest choice of each backbone; None without any evidence."""
    log = list(events)
    chosen = {event["backbone"]: event for event in log if event.get("event") == CHOSEN}
    records, request = run_records(log), newest_request(log)
    counted = [
        replace(run, is_tuned=run.is_tuned or run.arm in request.tuned)
        for run in _counted(records, chosen, is_redrawn=request.overlap is not None)
    ]
    runs = {
        backbone: found
        for backbone in chosen
        if (found := [run for run in counted if run.backbone == backbone])
    }
    if not runs:
        return None
    metric = without_split(str(next(iter(chosen.values()))["metric"]))
    chance = chance_level(records, metric)
    classes, train_counts = _classes(log)
    arms = with_effects({name: arm_evidence(found, metric, chance) for name, found in runs.items()})
    draft = Confirmation(
        metric=metric,
        backbones=tuple(_backbone(chosen[name], runs[name], arms[name], request) for name in runs),
        num_readings=len({(e["run"], e["reading"]) for e in log if e.get("event") == READING}),
        is_redrawn=counted[0].is_redrawn,
        num_comparisons=sum(arm.adjusted_p is not None for found in arms.values() for arm in found),
        chance=chance,
        remarks=(),
        classes=classes,
        train_counts=train_counts,
    )
    return draft._replace(remarks=tuple(remarks(log, records, draft)))


def _classes(log: Iterable[Event]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the classes and their training images in the search; empty if unknown."""
    data = next((event for event in log if event.get("event") == "data"), {})
    names, counts = (data.get(name) for name in ("classes", "train_counts"))
    return (
        tuple(map(str, names)) if isinstance(names, list) else (),
        tuple(counts) if isinstance(counts, list) else (),
    )


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
    choice: Event, runs: list[RunRecord], arms: tuple[ArmEvidence, ...], request: ConfirmRequest
) -> BackboneEvidence:
    newest = {run.arm: run.key for run in runs}
    of_method = [run for run in runs if run.role == "method" and run.key == newest[run.arm]]
    values = [run.value for run in of_method if run.value is not None]
    value, spread = mean_and_spread(values)
    num_failed = sum(run.has_failed for run in of_method)
    baselines = {arm.arm: arm for arm in arms if arm.role == "baseline" and arm.accuracies}
    baseline = baselines.get("equal_steps") or baselines.get("baseline")
    rivals = [arm for arm in arms if arm.role == "rival" and arm.accuracies]
    if request.rival is not None:
        rivals = [arm for arm in rivals if arm.arm == request.rival]
    rival = max(rivals, key=lambda arm: arm.mean, default=None)
    what, how = "its rival", f", named {request.when}"
    if request.rival is None:
        what, how = "its strongest rival", f", the highest mean of {len(rivals)}"
    who = _method_words(of_method)
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
        verdict=verdict(_compared(baseline, "the baseline"), _compared(rival, what, how), who),
    )


def _method_words(runs: Iterable[RunRecord]) -> str:
    """Return the method's name in a sentence, by its runs: the best may have no GAN."""
    kinds = dict.fromkeys(run.extra_images for run in runs)
    if set(kinds) <= {SYNTHETIC}:
        return "GAN distillation"
    return f"The best configuration, which has no GAN (joint.extra_images: {', '.join(kinds)}),"


def _compared(arm: ArmEvidence | None, what: str, how: str = "") -> Compared | None:
    if arm is None or arm.method_over is None:
        return None
    shown = arm.effect or "no evidence"
    price = arm.method_price.words if arm.method_price else ""
    return Compared(what, f"{arm.title}{how}", arm.method_over, arm.adjusted_p, shown, price)
