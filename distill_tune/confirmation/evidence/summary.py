"""Results of a confirmation in a study's log: arms on fresh seeds, their gains, the verdicts."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product

from distill_tune.confirmation.evidence.arm_evidence import (
    ArmEvidence,
    arm_evidence,
    chance_level,
    with_effects,
)
from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation, Progress
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
    counted = _newest(
        [
            replace(run, is_tuned=run.is_tuned or run.arm in request.tuned)
            for run in _counted(records, chosen, is_redrawn=request.overlap is not None)
        ],
        request,
    )
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
    progress = _progress(counted, chosen, request)
    draft = Confirmation(
        metric=metric,
        backbones=tuple(
            _backbone(chosen[name], runs[name], arms[name], request, progress) for name in runs
        ),
        num_readings=len({(e["run"], e["reading"]) for e in log if e.get("event") == READING}),
        is_redrawn=counted[0].is_redrawn,
        num_comparisons=sum(arm.adjusted_p is not None for found in arms.values() for arm in found),
        chance=chance,
        progress=progress,
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


def _newest(runs: list[RunRecord], request: ConfirmRequest) -> list[RunRecord]:
    """Return the runs of the configuration of each arm that was requested last, if it has any.

    A request may name a configuration again whose runs are older than those of another one.
    """
    newest = {(run.backbone, run.arm): run.key for run in runs}
    known = {(run.backbone, run.arm, run.key) for run in runs}
    for backbone, arm in newest:
        wanted = request.keys.get(backbone, {}).get(arm, "")
        if (backbone, arm, wanted) in known:
            newest[backbone, arm] = wanted
    return [run for run in runs if run.key == newest[run.backbone, run.arm]]


def _progress(
    runs: Iterable[RunRecord], chosen: Iterable[str], request: ConfirmRequest
) -> Progress | None:
    if not request.arms:
        return None
    done = {
        (run.seed, run.backbone, run.arm)
        for run in runs
        if not run.is_lost
        if run.key == request.keys.get(run.backbone, {}).get(run.arm, run.key)
    }
    wanted = list(product(chosen, request.arms))
    of_seeds = [[(seed, *one) in done for one in wanted] for seed in request.seeds]
    runs_done = sum(map(sum, of_seeds))
    num_runs = len(of_seeds) * len(wanted)
    return Progress(sum(map(all, of_seeds)), len(of_seeds), runs_done, num_runs, request.command)


def _backbone(
    choice: Event,
    runs: list[RunRecord],
    arms: tuple[ArmEvidence, ...],
    request: ConfirmRequest,
    progress: Progress | None,
) -> BackboneEvidence:
    of_method = [run for run in runs if run.role == "method"]
    values = [run.value for run in of_method if run.value is not None]
    value, spread = mean_and_spread(values)
    num_failed = sum(run.has_failed for run in of_method)
    baselines = {arm.arm: arm for arm in arms if arm.role == "baseline" and arm.accuracies}
    baseline = baselines.get("equal_steps") or baselines.get("baseline")
    rivals = [arm for arm in arms if arm.role == "rival" and arm.accuracies]
    if request.rival is not None:
        rivals = [arm for arm in rivals if arm.arm == request.rival]
    rival = max(rivals, key=_strength, default=None)
    what, how = "its rival", f"named {request.when}"
    if request.rival is None:
        what, how = "its strongest rival", f"the highest mean of {len(rivals)}"
    metric = without_split(str(choice["metric"]))
    compared = (
        _compared(baseline, metric, "the baseline"),
        _compared(rival, metric, what, f", {how}"),
    )
    who, known = _method_words(of_method), [one for one in compared if one is not None]
    said = verdict(known, list(_missing(arms, baseline, rival, request)), who)
    if not any(arm.accuracies for arm in arms if arm.role == "method"):
        said = f"{who} {'has no value on any seed' if of_method else 'has no run yet'}"
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
        rival_choice=how,
        verdict=said
        if progress is None or progress.is_over
        else f"so far, {progress.words}: {said}",
    )


def _strength(rival: ArmEvidence) -> tuple[float, float]:
    """Return what the strongest rival has most of: the mean on the seeds of the method."""
    over = rival.method_over
    return (-over.mean if over and over.num_pairs else -math.inf, rival.mean)


def _missing(
    arms: tuple[ArmEvidence, ...],
    baseline: ArmEvidence | None,
    rival: ArmEvidence | None,
    request: ConfirmRequest,
) -> Iterator[str]:
    """Yield what the method is not compared with, and why."""
    roles = {arm.role for arm in arms}
    if baseline is None:
        yield f"no baseline {'has a value' if 'baseline' in roles else 'was run'}"
    if rival is None and request.rival is not None:
        titles = {arm.arm: arm.title for arm in arms}
        why = "has no value" if request.rival in titles else "has no run"
        yield f"its rival, {titles.get(request.rival, request.rival)}, {why}"
    elif rival is None:
        yield f"no rival arm {'has a value' if 'rival' in roles else 'was run'}"


def _method_words(runs: Iterable[RunRecord]) -> str:
    """Return the method's name in a sentence, by its runs: the best may have no GAN."""
    kinds = dict.fromkeys(run.extra_images for run in runs)
    if set(kinds) <= {SYNTHETIC}:
        return "GAN distillation"
    return f"The best configuration, which has no GAN (joint.extra_images: {', '.join(kinds)}),"


def _compared(arm: ArmEvidence | None, metric: str, what: str, how: str = "") -> Compared | None:
    if arm is None or arm.method_over is None:
        return None
    shown = arm.effect or "no evidence"
    price = arm.method_price.words if arm.method_price else ""
    title = f"{arm.title}{how}"
    return Compared(what, title, arm.method_over, arm.adjusted_p, shown, metric, price)
