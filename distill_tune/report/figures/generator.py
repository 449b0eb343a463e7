"""Fitness of generators: agreement with the requested class, and diversity within a class."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.records.status import StageInfo, is_of_search
from distill_tune.records.trials import (
    AGREEMENT,
    DIVERSITY,
    FIT_AGREEMENT,
    STAGE_STEPS,
    UNFIT_AGREEMENT,
    FidelityPoint,
    TrialRecord,
)
from distill_tune.records.words.fitness_text import (
    fidelity_words,
    fitness,
    known,
    last,
    stage_words,
)
from distill_tune.report.axes import Axis
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.pictures import ReportPicture, warmup_pictures
from distill_tune.report.study_records import Source

TITLE = "Is the generator fit?"

_MOST_NAMED = 6
_HEADROOM = 1.05


class Training(NamedTuple):
    """A shared stage in which a generator was trained.

    Attributes:
        name: Name of the stage, such as ``warmup`` or ``triplet/resnet50``.
        steps: Number of generator steps.
        max_steps: Maximum number of steps if the stage ended by itself; else None.
        curve: Measurements, oldest first, at least one.
    """

    name: str
    steps: int
    max_steps: int | None
    curve: tuple[FidelityPoint, ...]

    @property
    def end(self) -> FidelityPoint:
        """The newest measurement."""
        return self.curve[-1]


class OwnWarmup(NamedTuple):
    """A warm-up that a single trial computed.

    Attributes:
        number: Number of the trial.
        end: Measurement at the end.
    """

    number: int
    end: FidelityPoint


class Later(NamedTuple):
    """Agreement in stage 3 of a backbone's best trial.

    Attributes:
        backbone: Name of the backbone.
        number: Number of the trial.
        lowest: Lowest value of all epochs.
        at_end: Value after the last epoch.
    """

    backbone: str
    number: int
    lowest: float
    at_end: float


class GeneratorFitness(NamedTuple):
    """Fitness of a study's generators.

    Attributes:
        fit_from: Agreement from which on a generator is fit.
        unfit_below: Agreement below which a generator is not fit.
        warmups: Warm-ups that trials share.
        triplets: Stages with the triplet loss that trials share.
        own: Warm-ups of single trials.
        later: Agreement in stage 3 of the best trials.
    """

    fit_from: float
    unfit_below: float
    warmups: tuple[Training, ...]
    triplets: tuple[Training, ...]
    own: tuple[OwnWarmup, ...]
    later: tuple[Later, ...]

    @property
    def ends(self) -> list[FidelityPoint]:
        """Measurements at the ends of warm-ups."""
        return [*(one.end for one in self.warmups), *(one.end for one in self.own)]


def info(source: Source) -> GeneratorFitness | None:
    """Return the fitness of a study's generators; None if nothing was measured."""
    stages = [stage for stage in source.status.stages if is_of_search(stage.name)]
    trials = source.state.trials.values()
    own = (_own(trial) for trial in trials if "warmup" in trial.seconds)
    winners = (source.best(backbone) for backbone in source.state.backbones)
    later = (_later(winner) for winner in winners if winner is not None)
    found = GeneratorFitness(
        FIT_AGREEMENT,
        UNFIT_AGREEMENT,
        tuple(_trainings(stages, "warmup")),
        tuple(_trainings(stages, "triplet")),
        tuple(one for one in own if one is not None),
        tuple(one for one in later if one is not None),
    )
    return found if found.ends else None


def _trainings(stages: Iterable[StageInfo], kind: str) -> Iterable[Training]:
    for stage in stages:
        curve = known(stage.curve)
        if stage.name.startswith(kind) and curve:
            yield Training(stage.name, stage.steps, stage.max_steps, curve)


def _own(trial: TrialRecord) -> OwnWarmup | None:
    names = (f"warmup/{name}" for name in (STAGE_STEPS, AGREEMENT, DIVERSITY))
    step, agreement, diversity = (trial.stage_metrics.get(name, math.nan) for name in names)
    end = last([FidelityPoint(int(step), agreement, diversity)]) if math.isfinite(step) else None
    return OwnWarmup(trial.number, end) if end is not None else None


def _later(trial: TrialRecord) -> Later | None:
    rows = [metrics.get(AGREEMENT, math.nan) for metrics in trial.history.values()]
    found = [value for value in rows if 0 <= value <= 1]
    return Later(trial.backbone, trial.number, min(found), found[-1]) if found else None


def pictures(source: Source) -> tuple[ReportPicture, ...]:
    """Return synthetic images from the ends of warm-ups."""
    return warmup_pictures(source)


def draw(found: GeneratorFitness) -> Markup:
    """Draw agreement and diversity of every warm-up over its steps, with the bounds of fitness."""
    last_step = max(one.step for one in found.ends)
    most = max(one.diversity for course in _courses(found) for one in course)
    across = Axis("generator steps", 0.0, _HEADROOM * max(1, last_step), is_whole=True)
    agreement = Panel(across, Axis("agreement with the labels", 0.0, 1.0))
    agreement.level(found.fit_from, f"fit from {found.fit_from:g} on")
    agreement.level(found.unfit_below, f"not fit below {found.unfit_below:g}")
    diversity = Panel(across, Axis("diversity within a class", 0.0, _HEADROOM * max(1.0, most)))
    diversity.level(1.0, "like real images", is_at_end=True)
    for panel, index in ((agreement, 1), (diversity, 2)):
        for one in found.warmups:
            kind = "curve failed" if fitness(one.end.agreement) == "not fit" else "curve"
            panel.line([(at.step, at[index]) for at in one.curve], kind, _words_of(one))
        panel.dots(_dots(found, index))
    return panels([agreement, diversity])


def _courses(found: GeneratorFitness) -> list[tuple[FidelityPoint, ...]]:
    return [*(one.curve for one in found.warmups), *((one.end,) for one in found.own)]


def _dots(found: GeneratorFitness, index: int) -> list[Dot]:
    ends = [(one.end, _words_of(one)) for one in found.warmups]
    ends += [(one.end, _own_words(one)) for one in found.own]
    return [
        Dot(end.step, end[index], _dot_kind(end), f"{text}: {fitness(end.agreement)}")
        for end, text in ends
    ]


def _dot_kind(end: FidelityPoint) -> str:
    return "failed" if fitness(end.agreement) == "not fit" else "complete"


def words(found: GeneratorFitness) -> str:
    """Return in words what the figure shows."""
    texts = [f"{_words_of(one)}: {fitness(one.end.agreement)}" for one in _shown(found.warmups)]
    texts += [_own_summary(found.own)] if found.own else []
    texts += [f"{_words_of(one)}: {fitness(one.end.agreement)}" for one in _shown(found.triplets)]
    sentences = ["; ".join(texts)]
    sentences += [
        f"In stage 3 of trial {one.number}, the best of {one.backbone}, agreement ends at "
        f"{one.at_end:.2f} (lowest {one.lowest:.2f})"
        for one in found.later
    ]
    sentences.append(
        "Agreement is the share of synthetic images that a network trained on the training images "
        f"alone assigns to the requested class: fit from {found.fit_from:g} on, not fit below "
        f"{found.unfit_below:g}. Diversity is the mean pixel distance within a class, synthetic "
        "over real"
    )
    return f"{'. '.join(sentences)}."


def _shown(trainings: tuple[Training, ...]) -> list[Training]:
    """Return the trainings named in the caption; the least fit ones if there are too many."""
    if len(trainings) <= _MOST_NAMED:
        return list(trainings)
    return sorted(trainings, key=lambda one: one.end.agreement)[:_MOST_NAMED]


def _words_of(one: Training) -> str:
    return f"{one.name}: {stage_words(one)}"


def _own_words(one: OwnWarmup) -> str:
    return f"trial {one.number}: {one.end.step} steps, {fidelity_words(one.end)}"


def _own_summary(own: tuple[OwnWarmup, ...]) -> str:
    counts = [fitness(one.end.agreement) for one in own]
    texts = ", ".join(f"{counts.count(kind)} {kind}" for kind in dict.fromkeys(counts))
    lowest = min(own, key=lambda one: one.end.agreement)
    return (
        f"{len(own)} trials with a warm-up of their own, whose curves are in TensorBoard: {texts}; "
        f"the least fit is that of {_own_words(lowest)}"
    )
