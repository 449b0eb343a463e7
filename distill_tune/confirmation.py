"""What a study's log says of its confirmation: arms on fresh seeds, their gains, the verdicts."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from distill_tune.confirm_log import (
    CHOSEN,
    EVIDENCE,
    READING,
    RunRecord,
    run_records,
)
from distill_tune.evidence import (
    Compared,
    Effect,
    Gain,
    effect,
    holm,
    mean_and_spread,
    paired_gain,
    verdict,
)
from distill_tune.remarks import remarks
from distill_tune.trials import Event


class ArmEvidence(NamedTuple):
    """What an arm reached on the test split.

    Attributes:
        accuracies: Seed to accuracy; a seed that failed is missing.
        failures: Seed to why it failed.
        is_tuned: Whether it had a search of its own with the method's budget.
        mean: Of the accuracies; nan without one.
        spread: Their standard deviation; None for fewer than two.
        over_baseline: Its gain over the plain baseline; None for that itself, and without one.
        method_over: What the method has over it; None for the method and what builds on it.
        adjusted_p: Of ``method_over``, among all backbones.
        effect: What ``method_over`` shows; None where that is.
        seconds: Mean training time of a run.
        gpu_hours: Mean of a run; 0 on a CPU.
    """

    arm: str
    title: str
    role: str
    accuracies: dict[int, float]
    failures: dict[int, str]
    is_tuned: bool
    mean: float
    spread: float | None
    over_baseline: Gain | None
    method_over: Gain | None
    adjusted_p: float | None
    effect: Effect | None
    seconds: float
    gpu_hours: float


class BackboneEvidence(NamedTuple):
    """Does the method help this backbone?

    Attributes:
        trial: Name of the confirmed trial.
        search_value: What the search saw of it.
        confirmed_value: Mean of the same metric over the fresh seeds; nan if all failed.
        confirmed_spread: Its standard deviation.
        arms: In the order of the tables.
        baseline: The strictest baseline that was run; None without one.
        rival: The best of the arms that are no baseline and hold nothing of the method.
        verdict: One sentence.
    """

    backbone: str
    trial: str
    search_value: float
    confirmed_value: float
    confirmed_spread: float | None
    arms: tuple[ArmEvidence, ...]
    baseline: ArmEvidence | None
    rival: ArmEvidence | None
    verdict: str

    @property
    def method(self) -> ArmEvidence | None:
        """The method's own arm."""
        return next((arm for arm in self.arms if arm.role == "method"), None)


class Confirmation(NamedTuple):
    """All backbones, and what a reader has to know of how their numbers came about.

    Attributes:
        metric: Of the test split: ``accuracy`` or ``balanced_accuracy``.
        num_readings: Models that were read on the test split.
        remarks: In words: second readings, seeds added later, untuned controls, failed seeds.
    """

    metric: str
    backbones: tuple[BackboneEvidence, ...]
    num_readings: int
    remarks: tuple[str, ...]


def confirmation(events: Iterable[Event]) -> Confirmation | None:
    """Return what a log says of the newest choice of each backbone; None without any evidence."""
    log = list(events)
    chosen = {event["backbone"]: event for event in log if event.get("event") == CHOSEN}
    records = run_records(log)
    runs = {
        backbone: [
            run
            for run in records
            if run.backbone == backbone and run.phase == EVIDENCE
            if run.trial == choice["trial"] and run.reading <= 1
        ]
        for backbone, choice in chosen.items()
    }
    runs = {backbone: found for backbone, found in runs.items() if found}
    if not runs:
        return None
    metric = str(next(iter(chosen.values()))["metric"]).removeprefix("val/")
    drafts = {name: _arms(found, metric) for name, found in runs.items()}
    arms = _with_effects(drafts)
    backbones = tuple(_backbone(chosen[name], runs[name], arms[name]) for name in runs)
    readings = {(e["run"], e["reading"]) for e in log if e.get("event") == READING}
    return Confirmation(metric, backbones, len(readings), tuple(remarks(log, records, backbones)))


def _arms(runs: list[RunRecord], metric: str) -> list[ArmEvidence]:
    """Return the arms of a backbone, the newest configuration of each."""
    newest = {run.arm: run.key for run in runs}
    by_arm = {arm: [r for r in runs if r.arm == arm and r.key == newest[arm]] for arm in newest}
    values = {arm: _accuracies(found, metric) for arm, found in by_arm.items()}
    method = next((arm for arm, found in by_arm.items() if found[0].role == "method"), None)
    in_order = sorted(by_arm.values(), key=lambda found: found[0].order)
    return [_arm(found, values, method) for found in in_order]


def _accuracies(runs: list[RunRecord], metric: str) -> dict[int, float]:
    return {run.seed: run.test[metric] for run in runs if metric in run.test}


def _arm(
    runs: list[RunRecord], values: Mapping[str, dict[int, float]], method: str | None
) -> ArmEvidence:
    first = runs[0]
    own = values[first.arm]
    over_baseline = None
    if "baseline" in values and first.arm != "baseline":
        over_baseline = paired_gain(own, values["baseline"])
    method_over = None
    if method is not None and first.role in {"baseline", "rival"}:
        method_over = paired_gain(values[method], own)
    mean, spread = mean_and_spread(list(own.values()))
    seconds = mean_and_spread([sum(run.seconds.values()) for run in runs if run.test])[0]
    gpus = max(run.gpus for run in runs)
    return ArmEvidence(
        arm=first.arm,
        title=first.title,
        role=first.role,
        accuracies=own,
        failures={run.seed: run.reason for run in runs if run.status == "failed"},
        is_tuned=first.is_tuned,
        mean=mean,
        spread=spread,
        over_baseline=over_baseline,
        method_over=method_over,
        adjusted_p=None,
        effect=None,
        seconds=seconds,
        gpu_hours=gpus * seconds / 3600,
    )


def _with_effects(drafts: Mapping[str, list[ArmEvidence]]) -> dict[str, tuple[ArmEvidence, ...]]:
    """Say what every gain of the method shows: an arm's p-values are one family over backbones."""
    names = dict.fromkeys(arm.arm for arms in drafts.values() for arm in arms)
    effects: dict[tuple[str, str], tuple[float | None, Effect]] = {}
    for name in names:
        family = {
            backbone: arm.method_over
            for backbone, arms in drafts.items()
            for arm in arms
            if arm.arm == name and arm.method_over is not None
        }
        adjusted = holm([found.p_value for found in family.values()])
        for (backbone, found), p_value in zip(family.items(), adjusted, strict=True):
            effects[backbone, name] = p_value, effect(found, p_value)
    return {
        backbone: tuple(
            arm._replace(adjusted_p=effects[key][0], effect=effects[key][1])
            if (key := (backbone, arm.arm)) in effects
            else arm
            for arm in arms
        )
        for backbone, arms in drafts.items()
    }


def _backbone(
    choice: Event, runs: list[RunRecord], arms: tuple[ArmEvidence, ...]
) -> BackboneEvidence:
    of_method = [run.value for run in runs if run.role == "method" and run.value is not None]
    value, spread = mean_and_spread(of_method)
    baselines = {arm.arm: arm for arm in arms if arm.role == "baseline" and arm.accuracies}
    baseline = baselines.get("equal_steps") or baselines.get("baseline")
    rivals = [arm for arm in arms if arm.role == "rival" and arm.accuracies]
    rival = max(rivals, key=lambda arm: arm.mean, default=None)
    return BackboneEvidence(
        backbone=choice["backbone"],
        trial=choice["name"],
        search_value=float(choice["search_value"]),
        confirmed_value=value,
        confirmed_spread=spread,
        arms=arms,
        baseline=baseline,
        rival=rival,
        verdict=verdict(
            _compared(baseline, "the baseline"), _compared(rival, "its strongest rival")
        ),
    )


def _compared(arm: ArmEvidence | None, what: str) -> Compared | None:
    if arm is None or arm.method_over is None:
        return None
    return Compared(what, arm.title, arm.method_over, arm.effect or "no evidence")
