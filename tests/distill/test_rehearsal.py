"""A trial that is tried out: what its stages take follows from its steps."""

from typing import Any

import pytest

from distill_tune.interfaces import ImageData
from distill_tune.tuning.dry_run.rehearsal import Parts, Rehearsal, stage_times
from tests.distill.tiny import CPU, config, trial

PARTS = Parts(
    build=100.0,
    classifier_step=1.0,
    score=0.25,
    validate=0.5,
    judge_step=0.5,
    warmup_step=2.0,
    assemble=0.125,
    triplet_step=3.0,
    reference=7.0,
    refresh=0.375,
    joint_step=5.0,
    monitor=0.0625,
    first=100.0,
)
GAN_PARTS = {"judge_step", "warmup_step", "triplet_step", "reference"}


def test_stages_are_the_sums_of_their_steps(digits: ImageData) -> None:
    running = trial(digits, joint={"epochs": 5, "refresh": 2})
    steps = len(digits.train.labels) // 80
    found = stage_times(PARTS, running)
    assert found.classifier == 3 * (steps * 1.0 + 0.5) + 0.25
    assert found.warmup == 8 * 0.5 + 4 * 2.0
    assert found.triplet == 0.125 + 3 * 3.0
    assert (found.joint_start, found.joint_end) == (7.0, 0.5)
    plain = steps * 5.0 + 0.0625 + 0.5
    labelled = plain + 0.375
    assert found.joint == (plain, plain, labelled, plain, labelled)
    assert found.of(["classifier", "triplet"]) == found.classifier + found.triplet


@pytest.mark.parametrize(
    ("joint", "num_labellings"),
    [
        ({"refresh": 1}, 4),
        ({"refresh": 3}, 1),
        ({"refresh": "plateau"}, 2),
        ({"refresh": "never"}, 0),
        ({"refresh": 1, "extra_images": "none"}, 0),
    ],
)
def test_labels_are_renewed_as_the_trial_renews_them(
    digits: ImageData, joint: dict[str, Any], num_labellings: int
) -> None:
    found = stage_times(PARTS, trial(digits, joint={"epochs": 5, **joint})).joint
    assert sum(found) - 5 * min(found) == pytest.approx(num_labellings * 0.375)


def test_every_part_of_a_real_trial_is_timed(digits: ImageData) -> None:
    rehearsal = Rehearsal(config(), digits, CPU)
    parts = rehearsal.parts()
    assert all(seconds > 0 for seconds in parts), parts
    assert max(parts) < 60
    # What a checkpoint would hold by then is there, so that its size can be told.
    state = rehearsal.trial.state
    assert state.best.weights
    assert state.sets is not None
    assert len(rehearsal.scores[0].losses) == len(digits.train.labels)


def test_without_a_gan_its_parts_take_no_time(digits: ImageData) -> None:
    rehearsal = Rehearsal(config(joint={"extra_images": "hard"}), digits, CPU)
    parts = rehearsal.parts()
    assert {name for name, seconds in parts._asdict().items() if seconds == 0} == GAN_PARTS
    found = stage_times(parts, rehearsal.trial)
    assert found.warmup == 0
    assert found.triplet == parts.assemble


def test_a_generator_that_has_learnt_nothing_stops_no_rehearsal(digits: ImageData) -> None:
    strict = {"collapse_policy": "stop", "unfit_policy": "stop", "max_discriminator_gap": 1e-9}
    assert Rehearsal(config(joint=strict), digits, CPU).parts().joint_step > 0
