"""The benchmark of fidelity: what it prints, and how it counts a run that never got there."""

import json

import pytest

from distill_tune.distill.monitoring.fidelity import Fidelity
from tests.benchmarks.fidelity import Reached, _seconds, until_fit
from tests.benchmarks.results import as_object

LATE = Reached(Fidelity(1500, 0.7, 0.9), 100.0, is_fit=False)
SOON = Reached(Fidelity(400, 0.93, 0.8), 20.0, is_fit=True)


def test_json_has_steps_seconds_agreement_and_diversity_of_both_sides() -> None:
    found = json.loads(json.dumps(as_object([_seconds("digits", [LATE], [SOON])]), allow_nan=False))
    assert found["digits"]["now"] == {
        "steps": [400],
        "seconds": [20.0],
        "agreement": [0.93],
        "diversity": [0.8],
        "is_fit": [True],
    }
    assert found["digits"]["before"]["is_fit"] == [False]


@pytest.mark.parametrize(("old", "new", "ratio"), [(LATE, SOON, 0.2), (SOON, LATE, 5.0)])
def test_the_ratio_is_one_of_seconds(old: Reached, new: Reached, ratio: float) -> None:
    assert _seconds("digits", [old], [new]).ratio == ratio


def test_a_run_that_never_got_there_is_no_gain() -> None:
    slower = LATE._replace(seconds=500.0)
    assert _seconds("digits", [slower], [LATE]).ratio == 1.0


def test_a_run_ends_at_its_limit() -> None:
    data = {"kind": "digits", "train_per_class": 4, "val_per_class": 4}
    small = {"generator_width": 8, "generator_min_width": 4, "discriminator_width": 8}
    found = until_fit(data, {**small, "batch_size": 4, "judge_steps": 5}, 0, 100)
    assert (found.fidelity.step, found.is_fit) == (100, False)
    assert found.seconds > 0
