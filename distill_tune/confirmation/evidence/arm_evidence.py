"""Results of each arm of a confirmation, and the method's gain over it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from distill_tune.confirmation.evidence.price import Cost, Price, cost_of, price_of, seconds_of
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
    """Results of an arm on the test split.

    A seed whose training failed (it diverged, collapsed or ran out of memory, see ``INFEASIBLE``)
    counts as chance: the accuracy of predicting the largest class of the test split for every
    image. A user with this configuration and seed has no classifier and can do no better. Leaving
    such seeds out would favour the failing arm, because it fails on the hard ones. Counting them
    as 0 would be too harsh, because predicting the largest class is always possible. One failure
    among a few seeds deliberately widens the interval so much that it rarely shows anything. A run
    that was lost to the machine says nothing about its arm: it is not counted, and it is repeated.

    Attributes:
        accuracies: Seed to accuracy; chance for a failed seed; lost seeds are missing.
        failures: Seed to the reason why it failed.
        lost: Seed to the reason why its run was lost.
        agreements: Seed to the newest agreement of its generator, if measured.
        is_tuned: Whether the arm had its own search, with the method's budget.
        is_concerned: Whether any searched param affects the arm.
        mean: Mean accuracy; nan without accuracies.
        spread: Standard deviation of the accuracies; None for fewer than two.
        over_baseline: Gain over the plain baseline; None for the baseline itself, or without one.
        method_over: Gain of the method over the arm; None for the method and arms built on it.
        control: For a combination, name of the arm that has its addition without the method.
        over_control: Gain of a combination over that arm; None for other arms, or without it.
        adjusted_p: p-value of ``method_over``, corrected for all arms and backbones.
        effect: What ``method_over`` shows; None if ``method_over`` is None.
        seconds: Median training time of a run.
        gpu_hours: Median GPU-hours of a run; 0 on a CPU.
        recalls: Test recall of every class, mean over seeds; None for a class without test images;
            empty if unknown.
        class_counts: Test images of every class; empty if unknown.
        class_agreements: Agreement of every class's synthetic images, mean over seeds; empty if
            unknown.
        class_diversities: Their diversity relative to training images, the same way.
        class_gains: Gain of the method over the arm in the recall of every class, mean over the
            seeds that both have; empty if unknown.
        cost: Median cost of a run; None if no run tells of its resources.
        baseline_price: Price of ``over_baseline``.
        method_price: Price of ``method_over``.
        control_price: Price of ``over_control``.
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
    control: str
    over_control: Gain | None
    adjusted_p: float | None
    effect: Effect | None
    seconds: float
    gpu_hours: float
    recalls: tuple[float | None, ...] = ()
    class_counts: tuple[int, ...] = ()
    class_agreements: tuple[float | None, ...] = ()
    class_diversities: tuple[float | None, ...] = ()
    class_gains: tuple[float | None, ...] = ()
    cost: Cost | None = None
    baseline_price: Price | None = None
    method_price: Price | None = None
    control_price: Price | None = None


def chance_level(runs: Iterable[RunRecord], metric: str) -> float | None:
    """Return the score of predicting the largest test class; None if no run records it."""
    return next((run.chance[metric] for run in runs if metric in run.chance), None)


def arm_evidence(
    runs: Sequence[RunRecord], metric: str, chance: float | None
) -> tuple[ArmEvidence, ...]:
    """Return the results of a backbone's arms, in the order of the tables.

    Args:
        runs: All runs that count, those of an arm with the same configuration.
        metric: Metric of the test split.
        chance: Value of a failed seed; with None, failed seeds have no value.
    """
    names = dict.fromkeys(run.arm for run in runs)
    by_arm = {arm: [run for run in runs if run.arm == arm] for arm in names}
    values = {arm: _accuracies(found, metric, chance) for arm, found in by_arm.items()}
    method = next((arm for arm, found in by_arm.items() if found[0].role == "method"), None)
    in_order = sorted(by_arm.values(), key=lambda found: found[0].order)
    arms = (
        _priced(_arm(found, values, method), by_arm, method or "", metric) for found in in_order
    )
    of_method = by_arm.get(method or "", [])
    return tuple(arm._replace(class_gains=_class_gains(of_method, by_arm[arm.arm])) for arm in arms)


def _priced(
    arm: ArmEvidence, runs: Mapping[str, list[RunRecord]], method: str, metric: str
) -> ArmEvidence:
    own = runs[arm.arm]
    return arm._replace(
        cost=cost_of(own),
        baseline_price=price_of(arm.over_baseline, own, runs.get("baseline", []), metric),
        method_price=price_of(arm.method_over, runs.get(method, []), own, metric),
        control_price=price_of(arm.over_control, own, runs.get(arm.control, []), metric),
    )


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
    over_control = paired_gain(own, values[first.control]) if first.control in values else None
    mean, spread = mean_and_spread(list(own.values()))
    seconds = seconds_of(runs)
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
        control=first.control,
        over_control=over_control,
        adjusted_p=None,
        effect=None,
        seconds=seconds,
        gpu_hours=gpus * seconds / 3600,
        recalls=_class_means(run.recalls for run in runs),
        class_counts=next((tuple(run.class_counts) for run in runs if run.class_counts), ()),
        class_agreements=_class_means(run.class_agreements for run in runs),
        class_diversities=_class_means(run.class_diversities for run in runs),
    )


def _class_gains(
    of_method: Iterable[RunRecord], runs: Iterable[RunRecord]
) -> tuple[float | None, ...]:
    """Return the mean gain of the method in the recall of every class, over common seeds."""
    others = {run.seed: run.recalls for run in runs if run.recalls}
    pairs = [(run.recalls, others[run.seed]) for run in of_method if run.seed in others]
    return _class_means(
        [
            None if own is None or other is None else own - other
            for own, other in zip(*pair, strict=False)
        ]
        for pair in pairs
    )


def _class_means(of_runs: Iterable[Sequence[float | None]]) -> tuple[float | None, ...]:
    """Return the mean of every class over the runs for which the values of classes are known."""
    by_class = zip(*filter(None, of_runs), strict=False)
    known = [[value for value in values if value is not None] for values in by_class]
    return tuple(mean_and_spread(values)[0] if values else None for values in known)


def with_effects(
    drafts: Mapping[str, Sequence[ArmEvidence]],
) -> dict[str, tuple[ArmEvidence, ...]]:
    """Return every backbone's arms with the effect of the method's gain over each of them.

    All comparisons of the method, with every arm of every backbone, form one family: each p-value
    is corrected for all of them, so a comparison may be picked for its result.
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
