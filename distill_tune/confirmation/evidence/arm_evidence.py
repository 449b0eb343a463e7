"""What each arm of a confirmation reached, and what the method has over it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from distill_tune.confirmation.evidence.statistics import (
    Effect,
    Gain,
    effect,
    holm,
    mean_and_spread,
    paired_gain,
)
from distill_tune.records.confirm_log import RunRecord


class ArmEvidence(NamedTuple):
    """What an arm reached on the test split.

    A seed whose training failed (it diverged, collapsed, ran out of memory: see ``INFEASIBLE``)
    counts as chance, the accuracy of naming the largest class of the test split for every image:
    who trains with this configuration and this seed has no classifier and can do no better. To
    leave such seeds out would favour the arm that fails, since it fails where it is hard; to count
    them as 0 would punish it with a value that nobody has to accept. One failure among a few seeds
    widens the interval so much that it then mostly shows nothing; that is meant. A run that was
    lost to the machine says nothing of its arm: it is not counted, and repeated.

    Attributes:
        accuracies: Seed to accuracy; chance for one that failed; one that was lost is missing.
        failures: Seed to why it failed.
        lost: Seed to why its run was lost.
        agreements: Seed to the newest agreement of its generator, where that was measured.
        is_tuned: Whether it had a search of its own with the method's budget.
        is_concerned: Whether anything that was searched makes a difference to it.
        mean: Of the accuracies; nan without one.
        spread: Their standard deviation; None for fewer than two.
        over_baseline: Its gain over the plain baseline; None for that itself, and without one.
        method_over: What the method has over it; None for the method and what builds on it.
        adjusted_p: Of ``method_over``, among all arms and backbones.
        effect: What ``method_over`` shows; None where that is.
        seconds: Mean training time of a run.
        gpu_hours: Mean of a run; 0 on a CPU.
    """

    arm: str
    title: str
    role: str
    accuracies: dict[int, float]
    failures: dict[int, str]
    lost: dict[int, str]
    agreements: dict[int, float]
    is_tuned: bool
    is_concerned: bool
    mean: float
    spread: float | None
    over_baseline: Gain | None
    method_over: Gain | None
    adjusted_p: float | None
    effect: Effect | None
    seconds: float
    gpu_hours: float


def chance_level(runs: Iterable[RunRecord], metric: str) -> float | None:
    """Return what naming the largest class of the test split gets; None if no run tells."""
    return next((run.chance[metric] for run in runs if metric in run.chance), None)


def arm_evidence(
    runs: Sequence[RunRecord], metric: str, chance: float | None
) -> tuple[ArmEvidence, ...]:
    """Return the arms of a backbone, the newest configuration of each, in the order of tables.

    Args:
        runs: All that count.
        metric: Of the test split.
        chance: What a seed that failed counts as; None: it has no value.
    """
    newest = {run.arm: run.key for run in runs}
    by_arm = {arm: [r for r in runs if r.arm == arm and r.key == newest[arm]] for arm in newest}
    values = {arm: _accuracies(found, metric, chance) for arm, found in by_arm.items()}
    method = next((arm for arm, found in by_arm.items() if found[0].role == "method"), None)
    in_order = sorted(by_arm.values(), key=lambda found: found[0].order)
    return tuple(_arm(found, values, method) for found in in_order)


def _accuracies(runs: list[RunRecord], metric: str, chance: float | None) -> dict[int, float]:
    values = {run.seed: run.test[metric] for run in runs if metric in run.test}
    if chance is not None:
        values |= {run.seed: chance for run in runs if run.has_failed}
    return dict(sorted(values.items()))


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
        failures={run.seed: run.reason for run in runs if run.has_failed},
        lost={run.seed: run.reason for run in runs if run.is_lost},
        agreements={run.seed: run.agreement for run in runs if run.agreement is not None},
        is_tuned=first.is_tuned,
        is_concerned=first.is_concerned,
        mean=mean,
        spread=spread,
        over_baseline=over_baseline,
        method_over=method_over,
        adjusted_p=None,
        effect=None,
        seconds=seconds,
        gpu_hours=gpus * seconds / 3600,
    )


def with_effects(
    drafts: Mapping[str, Sequence[ArmEvidence]],
) -> dict[str, tuple[ArmEvidence, ...]]:
    """Return every backbone's arms with what the method's gain over each of them shows.

    All comparisons of the method, with every arm of every backbone, are one family: whichever of
    them is looked at, for its result or not, its p-value is corrected for all the others.
    """
    gains = [arm.method_over for arms in drafts.values() for arm in arms]
    adjusted = iter(holm([None if gain is None else gain.p_value for gain in gains]))
    return {
        backbone: tuple(_with_effect(arm, next(adjusted)) for arm in arms)
        for backbone, arms in drafts.items()
    }


def _with_effect(arm: ArmEvidence, adjusted_p: float | None) -> ArmEvidence:
    if arm.method_over is None:
        return arm
    return arm._replace(adjusted_p=adjusted_p, effect=effect(arm.method_over, adjusted_p))
