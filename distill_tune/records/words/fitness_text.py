"""Text about the fitness of a generator, shared by terminals, logs, reports and warnings."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from distill_tune.records.trials import (
    AGREEMENT,
    DIVERSITY,
    FIT_AGREEMENT,
    STAGE_STEPS,
    UNFIT_AGREEMENT,
    FidelityPoint,
)
from distill_tune.records.words.metric_names import ACCURACY

if TYPE_CHECKING:
    from distill_tune.distill.trial import Report
    from distill_tune.interfaces import Metrics

Fitness = Literal["fit", "nearly fit", "not fit"]

_ADVICE = {
    "warmup": "train it for longer (gan.warmup_steps, or gan.max_warmup_steps where that is auto), "
    "take a larger or another GAN (gan.kind and its fields), or more images a class",
    "triplet": "take fewer gan.triplet_steps or a smaller joint.triplet_weight, which draw it "
    "away from its classes, or a longer warm-up before",
}


class TrainedGanStage(Protocol):
    """A stage in which a generator was trained, as records hold it."""

    @property
    def name(self) -> str:
        """Name, such as ``warmup`` or ``triplet/resnet50``."""

    @property
    def steps(self) -> int:
        """Generator steps taken."""

    @property
    def max_steps(self) -> int | None:
        """Maximum number of steps, if the stage ends by itself."""

    @property
    def curve(self) -> tuple[FidelityPoint, ...]:
        """Measurements, oldest first."""


_Stage = TypeVar("_Stage", bound=TrainedGanStage)


def known(curve: Iterable[FidelityPoint]) -> tuple[FidelityPoint, ...]:
    """Return the measurements whose numbers lie in the possible range."""
    return tuple(
        one
        for one in curve
        if 0 <= one.agreement <= 1 and 0 <= one.diversity < 1e3 and 0 <= one.step < 1e12
    )


def last(curve: Iterable[FidelityPoint]) -> FidelityPoint | None:
    """Return the newest sound measurement; None if there is none."""
    return next(reversed(known(curve)), None)


def fitness(agreement: float) -> Fitness:
    """Return the fitness of a generator with an agreement in [0, 1]."""
    if agreement >= FIT_AGREEMENT:
        return "fit"
    return "not fit" if agreement < UNFIT_AGREEMENT else "nearly fit"


def is_unfit(curve: Iterable[FidelityPoint]) -> bool:
    """Return whether the generator is not fit by its newest sound measurement."""
    end = last(curve)
    return end is not None and fitness(end.agreement) == "not fit"


def least_fit(stages: Iterable[_Stage]) -> _Stage | None:
    """Return the stage whose generator had the lowest final agreement; None if unmeasured."""
    found = [(end.agreement, stage) for stage in stages if (end := last(stage.curve)) is not None]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def stage_words(stage: TrainedGanStage) -> str:
    """Return ``750 steps (auto), agreement 0.96, diversity 0.81``; empty without a generator."""
    end = last(stage.curve)
    if end is None:
        return ""
    return f"{_steps(stage.steps, stage.max_steps)}, {fidelity_words(end)}"


def _steps(steps: int, limit: int | None) -> str:
    if limit is None:
        return f"{steps} steps"
    return f"{steps} steps (auto{', its limit' if steps >= limit else ''})"


def fidelity_words(measured: FidelityPoint) -> str:
    """Return ``agreement 0.96, diversity 0.81``."""
    return f"agreement {_two(measured.agreement)}, diversity {measured.diversity:.2f}"


def _two(agreement: float) -> str:
    """Return an agreement truncated to two digits, so that none below a bound looks above it."""
    return f"{math.floor(100 * agreement + 1e-9) / 100:.2f}"


def metrics_words(metrics: "Metrics", metric: str = ACCURACY) -> str:
    """Return the number that shows a running stage's progress, such as ``agreement 0.83``.

    Args:
        metrics: Of a report.
        metric: Name of the metric that trials are compared by.
    """
    if metric in metrics:
        return f"{metric} {metrics[metric]:.4f}"
    if AGREEMENT in metrics:
        return f"agreement {_two(metrics[AGREEMENT])}"
    return ""


def fitness_sentence(whose: str, agreement: float) -> str:
    """Return a sentence on whether a generator was fit and, if not, what that means.

    Args:
        whose: The generator, such as ``the generator of trial resnet50-0003``.
        agreement: At the end of its warm-up or triplet stage, whichever is lower.
    """
    kind, first = fitness(agreement), f"{whose[0].upper()}{whose[1:]}"
    text = f"{first} was {kind}: agreement {_two(agreement)}"
    if kind == "not fit":
        return (
            f"{text}, below {UNFIT_AGREEMENT:g}. Many of its images were of another class than "
            "asked for: a fit generator may give other results."
        )
    return f"{text}." if kind == "fit" else f"{text}, short of {FIT_AGREEMENT:g}."


def unfit_warning(stage: str, agreement: float) -> str:
    """Return what to change if a stage left a generator that is not fit; otherwise empty.

    Args:
        stage: Name of the stage, such as ``triplet/resnet50``.
        agreement: Agreement at its end.
    """
    if fitness(agreement) != "not fit":
        return ""
    return (
        f"the generator is not fit after {stage}: agreement {_two(agreement)} is below "
        f"{UNFIT_AGREEMENT:g}{_advice('triplet' if stage.startswith('triplet') else 'warmup')}"
    )


def _advice(kind: str) -> str:
    return (
        f", so many of its images teach the classifier a wrong label; {_ADVICE[kind]}; "
        "joint.selection: agree leaves such images out, joint.unfit_policy says what trials do"
    )


def briefly(text: str, warnings: Iterable[str]) -> str:
    """Return a warning without its advice, if an earlier warning gave the same advice."""
    for advice in map(_advice, _ADVICE):
        if advice in text and any(advice in earlier for earlier in warnings):
            return text.replace(advice, "")
    return text


def curve_of(reports: Iterable["Report"]) -> tuple[FidelityPoint, ...]:
    """Return the measurements of the generator in a stage's reports."""
    return tuple(
        FidelityPoint(report.step, report.metrics[AGREEMENT], report.metrics[DIVERSITY])
        for report in reports
        if AGREEMENT in report.metrics and DIVERSITY in report.metrics
    )


class FitnessWatch:
    """Monitor of a trial's reports: the results of its GAN stages, and a warning if unfit.

    Args:
        has_warned: Whether an earlier session has warned.

    Attributes:
        metrics: For the trial's records: steps, agreement and diversity at the end of each stage,
            such as ``warmup/synthetic/agreement``.
    """

    def __init__(self, *, has_warned: bool = False) -> None:
        self.metrics: dict[str, float] = {}
        self._has_warned = has_warned

    def take(self, report: "Report") -> str:
        """Process a report; return the warning that it causes, usually empty.

        A generator that is unfit after its warm-up is reported then, and not again after the
        triplet stage.
        """
        if report.stage not in _ADVICE or report.step != report.num_steps:
            return ""
        for end in curve_of([report]):
            self.metrics[f"{report.stage}/{STAGE_STEPS}"] = float(end.step)
            self.metrics[f"{report.stage}/{AGREEMENT}"] = end.agreement
            self.metrics[f"{report.stage}/{DIVERSITY}"] = end.diversity
            text = "" if self._has_warned else unfit_warning(report.stage, end.agreement)
            self._has_warned = self._has_warned or bool(text)
            return text
        return ""
