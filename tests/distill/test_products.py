"""Stages 1 and 2 computed once and shared: the same bits as a trial that did all itself."""

import itertools
from typing import Any

import pytest

from distill_tune.distill.trial import Report, Trial
from distill_tune.interfaces import ImageData, Stage
from tests.distill.tiny import TINY, differences, packed, trial, unpacked

BEFORE: dict[Stage, list[Stage]] = {"triplet": ["classifier", "warmup"]}


def rest_of(running: Trial) -> list[Report]:
    return [report._replace(seconds=0.0) for report in running.run()]


def finished(running: Trial, stage: Stage) -> bytes:
    """Return a stage's product as the search stores it."""
    for _ in itertools.chain(*map(running.run_stage, [*BEFORE.get(stage, []), stage])):
        pass
    return packed(running.product(stage))


@pytest.fixture(scope="module")
def alone(digits: ImageData) -> tuple[list[Report], bytes]:
    """Return the reports and the end of a trial that shares nothing."""
    running = trial(digits)
    return rest_of(running), packed(running.state_dict())


@pytest.mark.parametrize(
    "shared",
    [
        ["classifier"],
        ["warmup"],
        ["classifier", "warmup"],
        ["warmup", "classifier"],
        ["classifier", "warmup", "triplet"],
    ],
)
def test_a_trial_that_adopts_ends_as_one_that_does_not(
    digits: ImageData, alone: tuple[list[Report], bytes], shared: list[Stage]
) -> None:
    running = trial(digits)
    for stage in shared:
        running.adopt(stage, unpacked(finished(trial(digits), stage)))
    left = [report for report in alone[0] if report.stage not in shared]
    assert rest_of(running) == left
    assert differences(unpacked(packed(running.state_dict())), unpacked(alone[1])) == []


def test_two_trials_may_adopt_the_same_product(
    digits: ImageData, alone: tuple[list[Report], bytes]
) -> None:
    stages: tuple[Stage, ...] = ("classifier", "warmup", "triplet")
    stored = {stage: finished(trial(digits), stage) for stage in stages}
    products = {stage: unpacked(content) for stage, content in stored.items()}
    for _ in range(2):
        running = trial(digits)
        for stage, product in products.items():
            running.adopt(stage, product)
        assert rest_of(running)[-1] == alone[0][-1]
    for stage, product in products.items():
        assert differences(product, unpacked(stored[stage])) == []


SEARCHED: list[dict[str, Any]] = [
    {"joint": {"margin": 0.9, "synthetic_ratio": 2.0, "hard_threshold": 0.1, "gan_lr": 1e-6}},
    {"joint": {"triplet_weight": 3.0, "refresh": "never", "hard_rule": "misclassified"}},
    {"preset": "poster_literal"},
]


@pytest.mark.parametrize("changes", SEARCHED)
def test_neither_product_depends_on_a_searched_parameter(
    digits: ImageData, changes: dict[str, Any]
) -> None:
    stages: tuple[Stage, ...] = ("classifier", "warmup")
    for stage in stages:
        one, other = (finished(trial(digits, **c), stage) for c in ({}, changes))
        assert differences(unpacked(one), unpacked(other)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": {"name": "mobilenet_v3_small"}},
        {"classifier": {"epochs": 9, "lr": 0.5, "shift": 0.0, "batch_size": 16}},
        {"gan": {"triplet_steps": 99}},
    ],
)
def test_the_warm_up_depends_on_data_gan_and_seed_only(
    digits: ImageData, changes: dict[str, Any]
) -> None:
    one, other = (finished(trial(digits, **c), "warmup") for c in ({}, changes))
    assert differences(unpacked(one), unpacked(other)) == []


def test_seed_and_the_gans_fields_change_the_warm_up(digits: ImageData) -> None:
    one = unpacked(finished(trial(digits), "warmup"))
    for changes in ({"seed": 1}, {"gan": {"lr": 1e-4}}, {"gan": {"shift": 0.0}}):
        other = unpacked(finished(trial(digits, **changes), "warmup"))
        assert differences(one, other) != []


def test_the_classifier_stage_does_not_depend_on_the_gan(digits: ImageData) -> None:
    changes = {"gan": {"latent_dim": 5, "generator_width": 16, "batch_size": 7}}
    one, other = (finished(trial(digits, **c), "classifier") for c in ({}, changes))
    assert differences(unpacked(one), unpacked(other)) == []
    assert trial(digits).config.backbone.name == TINY


def test_an_adopting_trial_can_be_stopped_and_resumed(
    digits: ImageData, alone: tuple[list[Report], bytes]
) -> None:
    running = trial(digits)
    for stage in ("classifier", "warmup"):
        running.adopt(stage, unpacked(finished(trial(digits), stage)))
    reports = running.run()
    assert next(reports).stage == "triplet"
    resumed = trial(digits)
    resumed.load_state_dict(unpacked(packed(running.state_dict())))
    assert rest_of(resumed)[-1] == alone[0][-1]
    assert differences(unpacked(packed(resumed.state_dict())), unpacked(alone[1])) == []
