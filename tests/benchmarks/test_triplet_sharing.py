"""Rank agreement of trials with and without a shared triplet stage, on made-up values."""

from typing import Any

import pytest

from tests.benchmarks import triplet_sharing
from tests.benchmarks.recorded_table import design
from tests.benchmarks.triplet_sharing import MODES, agreements, study_of


def rows(values: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    return [
        {
            "seed": seed,
            "point": point,
            "mode": mode,
            "value": value,
            "seconds": {"triplet": 3.0 * (mode == "per_trial"), "joint": 2.0},
        }
        for mode in MODES
        for point, of_point in enumerate(values[mode])
        for seed, value in enumerate(of_point)
    ]


def test_equal_ranks_agree_wholly_and_opposite_ones_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triplet_sharing, "_RESAMPLES", 50)
    rising = [[0.1 * n, 0.1 * n + 0.01] for n in range(6)]
    falling = [[0.02 - one for one in of_point] for of_point in rising]
    same = dict(agreements(rows({"per_trial": rising, "shared": rising})))
    assert same["Spearman, per trial against shared, same seed"] == "1.00 (1.00 to 1.00)"
    assert same["accuracy, per trial - shared, points"] == "0.00 +-0.00"
    assert same["CPU seconds of a trial, per_trial"] == "triplet 3.0, joint 2.0"
    assert same["CPU seconds of a trial, shared"] == "triplet 0.0, joint 2.0"
    other = dict(agreements(rows({"per_trial": rising, "shared": falling})))
    assert other["Kendall, per trial against shared, mean over seeds"].startswith("-1.00")
    assert other["Kendall, shared, one seed against the other"].startswith("1.00")


@pytest.mark.parametrize("mode", MODES)
def test_only_stage_2_differs_between_the_two(mode: str) -> None:
    study = study_of(mode, 3)
    params = design(study)[1]
    config = study.trial_config("resnet18", params)
    assert config.joint.margin == params["joint.margin"] != study.trial.joint.margin
    shared = (study.trial.joint.margin, study.trial.joint.hard_threshold)
    own = (params["joint.margin"], params["joint.hard_threshold"])
    in_stage_2 = config.in_triplet_stage.joint
    expected = shared if mode == "shared" else own
    assert (in_stage_2.margin, in_stage_2.hard_threshold) == expected
    assert config.seed == 3
