"""How fit a generator is, in words: the same ones wherever it is told."""

import math

import pytest

from distill_tune.distill.trial import Report
from distill_tune.interfaces import Stage
from distill_tune.records.trials import FidelityPoint, StageRecord
from distill_tune.records.words.fitness_text import (
    FitnessWatch,
    fitness,
    fitness_sentence,
    known,
    last,
    least_fit,
    metrics_words,
    stage_words,
    unfit_warning,
)


def stage(*agreements: float, name: str = "warmup", max_steps: int | None = None) -> StageRecord:
    """Return a shared stage with a measurement every 50 steps."""
    curve = [FidelityPoint(50 * n, value, 0.8) for n, value in enumerate(agreements, start=1)]
    steps = 50 * len(agreements)
    return StageRecord(name, "k", 1.0, 1.0, {}, False, 1.0, steps, max_steps, tuple(curve))


def report(stage: Stage, step: int, agreement: float | None = None, *, total: int = 100) -> Report:
    metrics = {"loss/generator": 0.5}
    if agreement is not None:
        metrics |= {"synthetic/agreement": agreement, "synthetic/pixel_diversity": 0.8}
    return Report(stage, step, total, metrics, 1.0)


@pytest.mark.parametrize(
    ("agreement", "kind"),
    [(1.0, "fit"), (0.9, "fit"), (0.899, "nearly fit"), (0.6, "nearly fit"), (0.599, "not fit")],
)
def test_the_bounds_are_those_of_the_training(agreement: float, kind: str) -> None:
    assert fitness(agreement) == kind


def test_a_stage_says_its_steps_and_what_it_came_to() -> None:
    assert stage_words(stage(0.2, 0.966, max_steps=2000)) == (
        "100 steps (auto), agreement 0.96, diversity 0.80"
    )
    assert stage_words(stage(0.2, 0.5)) == "100 steps, agreement 0.50, diversity 0.80"
    assert stage_words(stage(0.2, 0.899, max_steps=100)) == (
        "100 steps (auto, its limit), agreement 0.89, diversity 0.80"
    )
    assert stage_words(stage()) == ""


def test_what_cannot_have_been_measured_is_passed_over() -> None:
    curve = [
        FidelityPoint(1, 0.5, 0.5),
        FidelityPoint(2, math.nan, 0.5),
        FidelityPoint(3, 1.5, 0.5),
        FidelityPoint(4, 0.5, math.inf),
        FidelityPoint(-5, 0.5, 0.5),
    ]
    assert known(curve) == tuple(curve[:1])
    assert last(curve) == curve[0]
    assert last(curve[1:]) is None


def test_the_least_fit_stage_is_found_by_the_end_of_its_curve() -> None:
    low_at_first, lower, none = stage(0.1, 0.95), stage(0.9, name="warmup lr=1"), stage()
    assert least_fit([none, low_at_first, lower]) is lower
    assert least_fit([none]) is None


def test_a_stage_under_way_is_followed_by_one_number() -> None:
    assert metrics_words(report("warmup", 1, 0.8399).metrics) == "agreement 0.83"
    assert metrics_words({"val/accuracy": 0.5, "synthetic/agreement": 1.0}) == "val/accuracy 0.5000"
    assert metrics_words({"loss/generator": 0.5}) == ""


def test_a_warning_says_what_to_change() -> None:
    assert unfit_warning("warmup", 0.6) == ""
    warmup, triplet = unfit_warning("warmup lr=1", 0.599), unfit_warning("triplet/resnet50", 0.3)
    assert warmup.startswith("the generator is not fit after warmup lr=1: agreement 0.59 is below ")
    for change in ("gan.max_warmup_steps", "gan.warmup_steps", "larger", "more images a class"):
        assert change in warmup
    assert "joint.triplet_weight" in triplet
    assert "gan.max_warmup_steps" not in triplet
    for text in (warmup, triplet):
        assert "joint.selection: agree" in text
        assert "joint.unfit_policy" in text


def test_a_sentence_says_what_an_unfit_generator_means() -> None:
    assert fitness_sentence("the generator", 0.96) == "The generator was fit: agreement 0.96."
    assert fitness_sentence("the generator of trial a", 0.7) == (
        "The generator of trial a was nearly fit: agreement 0.70, short of 0.9."
    )
    unfit = fitness_sentence("the generator", 0.41)
    assert unfit.startswith("The generator was not fit: agreement 0.41, below 0.6. ")
    assert "another class than asked for" in unfit


def test_a_trials_reports_warn_once_and_leave_what_its_records_keep() -> None:
    watch = FitnessWatch()
    said = [
        watch.take(one)
        for one in (
            report("classifier", 100),
            report("warmup", 50, 0.1),
            report("warmup", 100, 0.5),
            report("triplet", 50),
            report("triplet", 100, 0.4),
            report("joint", 100, 0.3),
        )
    ]
    assert [bool(text) for text in said] == [False, False, True, False, False, False]
    assert watch.metrics == {
        "warmup/steps": 100.0,
        "warmup/synthetic/agreement": 0.5,
        "warmup/synthetic/pixel_diversity": 0.8,
        "triplet/steps": 100.0,
        "triplet/synthetic/agreement": 0.4,
        "triplet/synthetic/pixel_diversity": 0.8,
    }


def test_a_triplet_stage_that_spoils_a_fit_generator_is_named() -> None:
    watch = FitnessWatch()
    assert watch.take(report("warmup", 100, 0.95)) == ""
    assert watch.take(report("triplet", 100, 0.5)).startswith(
        "the generator is not fit after triplet"
    )
