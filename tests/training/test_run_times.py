"""The time that stages take, worked by hand: measured, guessed, and left of a run."""

import math

import pytest

from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import Stage
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.training.run_times import RunTime, UnitTimes, num_units
from tests.commands import STUDY

A, B = "squeezenet1_1", "shufflenet_v2_x0_5"
NUM_TRAIN = 60  # two steps an epoch


def config(backbone: str = A, **changes: object) -> TrialConfig:
    """Return 2 epochs, 10 and 2 steps of the GAN, then 4 epochs, with changes."""
    study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
    return study.trial_config(backbone, {k.replace("__", "."): v for k, v in changes.items()})


def report(stage: Stage, step: int, total: int, seconds: float) -> Report:
    return Report(stage, step, total, {}, seconds)


def test_what_is_measured_counts_with_all_of_its_units() -> None:
    times = UnitTimes(NUM_TRAIN)
    times.add(config(), "joint", 1, 4.0)
    times.add(config(), "joint", 3, 4.0)
    assert times.seconds(config(), "joint") == 2.0


def test_before_anything_is_measured_nothing_is_known() -> None:
    assert math.isnan(UnitTimes(NUM_TRAIN).seconds(config(), "joint"))


def test_the_steps_of_a_warm_up_are_the_same_for_every_backbone() -> None:
    times = UnitTimes(NUM_TRAIN)
    times.add(config(A), "warmup", 10, 5.0)
    assert times.seconds(config(B), "warmup") == 0.5


def test_stages_that_are_not_measured_are_guessed_from_those_that_are() -> None:
    times = UnitTimes(NUM_TRAIN)
    times.add(config(), "classifier", 2, 8.0)
    assert times.seconds(config(), "warmup") == 0.5, "a quarter of one of two steps in 4 s"
    assert times.seconds(config(), "triplet") == 0.5 + 2.0 / 2
    assert times.seconds(config(), "joint") == 2 * 4.0 + 2 * 1.5
    times.add(config(), "triplet", 10, 10.0)
    assert times.seconds(config(), "joint") == 2 * 4.0 + 2 * 1.0
    times.add(config(), "joint", 1, 7.0)
    assert times.seconds(config(), "joint") == 7.0


def test_an_epoch_is_guessed_from_other_backbones_and_else_from_the_warm_up() -> None:
    times = UnitTimes(NUM_TRAIN)
    times.add(config(A), "warmup", 10, 5.0)
    assert times.seconds(config(B), "classifier") == 2 * 4 * 0.5
    times.add(config(A), "classifier", 1, 6.0)
    assert times.seconds(config(B), "classifier") == 6.0
    times.add(config(B), "classifier", 1, 1.0)
    assert times.seconds(config(B), "classifier") == 1.0


@pytest.mark.parametrize(("extra", "epochs"), [("none", 1), ("hard", 2)])
def test_without_a_gan_an_epoch_of_stage_3_follows_from_one_of_stage_1(
    extra: str, epochs: int
) -> None:
    times, arm = UnitTimes(NUM_TRAIN), config(joint__extra_images=extra)
    times.add(config(), "classifier", 1, 3.0)
    times.add(config(), "joint", 1, 100.0)
    assert times.seconds(arm, "joint") == epochs * 3.0
    assert num_units(arm, "warmup") == num_units(arm, "triplet") == 0


def test_of_a_warm_up_that_ends_by_itself_half_is_expected_until_that_is_over() -> None:
    auto = config(gan__warmup_steps="auto", gan__max_warmup_steps=100)
    assert [num_units(auto, "warmup", done) for done in (0, 49, 50, 100)] == [50, 50, 100, 100]
    assert num_units(config(), "warmup") == 10


def test_a_run_takes_the_rest_of_its_stage_and_the_later_stages() -> None:
    run = RunTime(config(), UnitTimes(NUM_TRAIN))
    assert math.isnan(run.seconds())
    assert math.isnan(run.stage_s())
    run.take(report("classifier", 1, 2, 4.0))
    joint = 2 * 4 + 2 * 1.5
    assert (run.stage_s(), run.seconds()) == (4.0, 4 + 10 * 0.5 + 2 * 1.5 + 4 * joint)
    run.take(report("classifier", 2, 2, 4.0))
    run.take(report("warmup", 2, 10, 60.0))
    joint = 2 * 4 + 2 * 1.5
    assert (run.stage_s(), run.seconds()) == (8 * 0.5, 8 * 0.5 + 2 * 1.5 + 4 * joint)
    run.take(report("warmup", 5, 10, 9.0))
    joint = 2 * 4 + 2 * (3 + 1)
    assert (run.stage_s(), run.seconds()) == (15.0, 15 + 2 * (3 + 1) + 4 * joint)
    run.take(report("triplet", 2, 2, 2.0))
    run.take(report("joint", 3, 4, 9.0))
    assert run.seconds() == run.stage_s() == 9.0
    run.take(report("joint", 4, 4, 9.0))
    assert run.seconds() == 0.0


def test_a_warm_up_that_has_ended_early_has_nothing_left() -> None:
    auto = config(gan__warmup_steps="auto", gan__max_warmup_steps=100)
    run = RunTime(auto, UnitTimes(NUM_TRAIN), ["warmup"], is_fresh=True)
    run.take(report("warmup", 10, 100, 90.0))
    run.take(report("warmup", 20, 100, 5.0))
    assert (run.stage_s(), run.seconds()) == (40.0, 15.0)
    run.take(report("warmup", 30, 30, 5.0))
    assert run.stage_s() == run.seconds() == 0.0


def test_a_resumed_run_knows_the_time_of_a_step_after_its_second_report() -> None:
    run = RunTime(config(), UnitTimes(NUM_TRAIN))
    run.take(report("warmup", 6, 10, 50.0))
    assert math.isnan(run.stage_s())
    run.take(report("warmup", 8, 10, 4.0))
    assert run.stage_s() == 4.0


def test_a_stage_that_starts_over_counts_its_steps_again() -> None:
    times = UnitTimes(NUM_TRAIN)
    run = RunTime(config(), times, ["warmup"], is_fresh=True)
    run.take(report("triplet", 1, 2, 5.0))
    run.take(report("triplet", 1, 2, 15.0))
    assert times.seconds(config(), "triplet") == 10.0


def test_the_training_of_the_judge_is_no_step_of_the_warm_up() -> None:
    times = UnitTimes(NUM_TRAIN)
    run = RunTime(config(), times, ["warmup"], is_fresh=True)
    run.take(report("warmup", 5, 10, 90.0))
    assert math.isnan(times.seconds(config(), "warmup"))
    assert math.isnan(run.stage_s())
    run.take(report("warmup", 7, 10, 1.0))
    assert times.seconds(config(), "warmup") == 0.5
    run.take(report("warmup", 5, 10, 90.0))  # It was lost and starts over.
    assert times.seconds(config(), "warmup") == 0.5
    assert run.stage_s() == 2.5


def test_a_run_goes_through_its_own_stages_only() -> None:
    times = UnitTimes(NUM_TRAIN)
    times.add(config(), "classifier", 1, 4.0)
    assert RunTime(config(), times, ["classifier"]).seconds() == 8.0
    assert RunTime(config(), times, ["triplet", "joint"]).seconds() == 2 * 1.5 + 4 * (8 + 3)
