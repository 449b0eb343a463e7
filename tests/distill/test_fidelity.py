"""The judge, the warm-up that ends by itself, and what becomes of a generator that is unfit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from distill_tune.distill import gan_stage
from distill_tune.distill.augmentation import to_float
from distill_tune.distill.compute.device_data import DeviceData
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.fidelity import (
    Fidelity,
    FidelityTest,
    Judge,
    agreement,
    build_judge,
    is_settled,
    train_judge,
)
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DivergedError
from distill_tune.interfaces import ImageData, Stage
from tests.distill.conftest import Begin
from tests.distill.tiny import CPU, differences, reports_of, run_until, trial

FIT = (0.95, 0.8)


def trained(images: ImageData, seed: int = 0, steps: int = 150) -> tuple[Judge, DeviceData]:
    data = DeviceData.place(images, CPU)
    judge = build_judge(seed, num_classes=10, channels=1, image_size=8)
    train_judge(judge, data, seed, steps)
    return judge, data


def relabelled(images: ImageData, labels: Tensor, num_classes: int) -> ImageData:
    train = images.train._replace(labels=labels)
    return replace(images, train=train, classes=tuple(map(str, range(num_classes))))


def history(*values: tuple[float, float]) -> list[Fidelity]:
    return [Fidelity(50 * n, *value) for n, value in enumerate(values)]


def scripted(monkeypatch: pytest.MonkeyPatch, values: Sequence[tuple[float, float]]) -> None:
    """Let the measurements of a warm-up be these; the last one stays."""
    left = list(values)

    def of_images(_: FidelityTest, _images: Tensor, step: int) -> Fidelity:
        return Fidelity(step, *(left.pop(0) if len(left) > 1 else left[0]))

    monkeypatch.setattr(FidelityTest, "of_images", of_images)
    monkeypatch.setattr(gan_stage, "CHECK_STEPS", 2)


def warmup(images: ImageData, **gan: Any) -> tuple[Trial, list[Report]]:
    running = trial(images, gan=gan, joint={"epochs": 1})
    return running, list(reports_of(running.run_stage("warmup"), "warmup"))


def test_the_judge_knows_digits_that_it_has_not_seen(digits: ImageData) -> None:
    judge, data = trained(digits)
    assert agreement(judge, *data.val) > 0.8
    assert agreement(judge, data.val.images, (data.val.labels + 1) % 10) < 0.1
    assert not any(weights.requires_grad for weights in judge.parameters())
    assert not judge.training


def test_a_judge_is_the_same_for_the_same_seed_alone(digits: ImageData) -> None:
    torch.manual_seed(1)
    one = trained(digits, steps=3)[0].state_dict()
    torch.manual_seed(2)
    assert differences(one, trained(digits, steps=3)[0].state_dict()) == []
    assert differences(one, trained(digits, seed=1, steps=3)[0].state_dict()) != []


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (14, 1), (28, 3), (64, 3)])
def test_a_judge_takes_images_of_every_size(size: int, channels: int) -> None:
    judge = build_judge(0, num_classes=3, channels=channels, image_size=size)
    assert judge(torch.zeros(2, channels, size, size)).shape == (2, 3)


def test_real_images_are_faithful_and_copies_are_not_diverse(digits: ImageData) -> None:
    judge, data = trained(digits)
    test = FidelityTest.of(judge, data)
    members = [(data.train.labels == label).nonzero().squeeze(1) for label in range(10)]
    several = torch.stack([members[int(y)][n // 10 % 16] for n, y in enumerate(test.labels)])
    found = test.of_images(to_float(data.train.images[several]), 7)
    assert found.step == 7
    assert found.agreement > 0.95
    assert 0.8 < found.diversity < 1.1
    one = torch.stack([members[int(y)][0] for y in test.labels])
    assert test.of_images(to_float(data.train.images[one]), 0).diversity == 0
    wrong = to_float(data.train.images[several.roll(1)])
    assert test.of_images(wrong, 0).agreement < 0.1


def test_of_very_many_classes_some_are_compared(digits: ImageData) -> None:
    labels = torch.arange(len(digits.train.labels)) // 2
    count = int(labels[-1]) + 1
    assert count < 250
    few = DeviceData.place(relabelled(digits, labels, count), CPU)
    many = DeviceData.place(relabelled(digits, labels * 8, count * 8), CPU)
    for data, asked in ((few, count), (many, 250)):
        judge = build_judge(0, num_classes=data.num_classes, channels=1, image_size=8)
        test = FidelityTest.of(judge, data)
        assert len(test.labels.unique()) == asked
        assert int(test.labels.bincount().max()) >= 2
        assert test.real_spread > 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([FIT] * 5, False),
        ([FIT] * 6, True),
        ([(0.1, 1.2)] * 9 + [FIT] * 6, True),
        ([(0.88, 0.8)] * 9, False),
        ([(0.91, 0.8)] * 3 + [(0.95, 0.8)] * 3, False),
        ([(0.95, 1.0)] * 3 + [(0.95, 0.9)] * 3, False),
    ],
)
def test_a_generator_is_settled_once_it_is_fit_and_no_longer_moves(
    values: list[tuple[float, float]], expected: bool
) -> None:
    assert is_settled(history(*values)) is expected


def test_an_automatic_warmup_ends_once_the_generator_is_settled(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [(0.2, 1.3), (0.6, 1.0), FIT])
    running, reports = warmup(digits, warmup_steps="auto", max_warmup_steps=99)
    assert [report.step for report in reports] == list(range(2, 17, 2))
    assert [report.num_steps for report in reports] == [99] * 7 + [16]
    assert running.state.gan.warmup_steps == running.state.gan.step == 16
    assert [report.metrics["synthetic/agreement"] for report in reports] == [0.2, 0.6] + 6 * [0.95]
    assert "judge/val_accuracy" in reports[0].metrics
    assert "synthetic/pixel_rank_ratio" in reports[-1].metrics


def test_an_automatic_warmup_ends_at_its_limit(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [(0.2, 1.3)])
    _, reports = warmup(digits, warmup_steps="auto", max_warmup_steps=5)
    assert [(report.step, report.num_steps) for report in reports] == [(2, 5), (4, 5), (5, 5)]


def test_a_number_of_steps_is_kept_as_given(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [FIT])
    running, reports = warmup(digits, warmup_steps=21)
    assert reports[-1].step == running.state.gan.warmup_steps == 21


def test_the_triplet_stage_follows_the_steps_that_the_warmup_took(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [FIT])
    changes = {"warmup_steps": "auto", "max_warmup_steps": 99, "triplet_steps": 3}
    running = run_until(trial(digits, gan=changes), "triplet")
    assert running.state.gan.step == 12 + 3


def test_an_adopted_warmup_brings_its_measurements_along(digits: ImageData) -> None:
    running, _ = warmup(digits)
    taken = trial(digits, joint={"epochs": 1})
    taken.adopt("warmup", running.product("warmup"))
    assert taken.state.gan.fidelity == running.state.gan.fidelity
    assert taken.state.gan.warmup_steps == 4
    assert differences(taken.product("warmup"), running.product("warmup")) == []


@pytest.mark.parametrize(
    ("policy", "value", "expected"),
    [("warn", 0.5, 1.5), ("scale", 0.5, 0.75), ("scale", 0.6, 1.5), ("stop", 0.6, 1.5)],
)
def test_an_unfit_generator_weighs_less_where_that_is_asked_for(
    at_joint: Begin, policy: str, value: float, expected: float
) -> None:
    running = at_joint(joint={"unfit_policy": policy, "synthetic_ratio": 1.5, "ramp_epochs": 0})
    running.state.gan.fidelity.append(Fidelity(9, value, 1.0))
    batch = JointStage(running.trainer, None).extra_batch(0, 0, 80)
    assert batch is not None
    assert (len(batch.labels), batch.weight) == (120, expected)


def test_stop_ends_a_trial_whose_warmup_left_an_unfit_generator(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [(0.59, 1.0)])
    reports = trial(digits, joint={"unfit_policy": "stop"}).run()
    with pytest.raises(DivergedError, match="59% of the synthetic images agree") as caught:
        list(reports)
    assert caught.value.reason == "generator_unfit"


def test_stop_ends_a_trial_that_takes_over_what_became_of_an_unfit_warmup(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the triplet stage to hide it, a trial's end would depend on who computed its stages."""
    scripted(monkeypatch, [(0.59, 1.0)] * 2 + [(0.9, 1.0)])
    other = run_until(trial(digits, gan={"warmup_steps": 2}), "triplet")
    assert [one.agreement for one in other.state.gan.fidelity] == [0.59, 0.59, 0.9]
    stages: tuple[Stage, ...] = ("classifier", "warmup", "triplet")
    products = {stage: other.product(stage) for stage in stages}
    for policy in ("warn", "stop"):
        taken = trial(digits, gan={"warmup_steps": 2}, joint={"unfit_policy": policy})
        for stage, product in products.items():
            taken.adopt(stage, product)
        assert taken.state.stage == "joint"
        if policy == "warn":
            next(taken.run())
            continue
        with pytest.raises(DivergedError, match=r"59% of .* when the warm-up ended"):
            next(taken.run())


def test_stop_ends_a_trial_whose_generator_becomes_unfit_in_stage_3(at_joint: Begin) -> None:
    running = at_joint(joint={"unfit_policy": "stop", "epochs": 3})
    running.state.gan.fidelity = [Fidelity(4, 0.9, 1.0)]
    reports = running.run()
    # The small generator of these tests follows no class: the first epoch's measurement says so.
    assert next(reports).metrics["synthetic/agreement"] < 0.6
    with pytest.raises(DivergedError, match="before joint epoch 2"):
        next(reports)


def test_a_warm_up_without_steps_that_is_shared_leaves_its_judge_as_it_is(
    digits: ImageData,
) -> None:
    running = trial(digits, gan={"warmup_steps": 0})
    stage = gan_stage.GanStage(running.trainer)
    list(stage.warmup())
    judge = copy_weights(running.state.gan.judge)
    # As a trial does that has adopted the stage.
    list(stage.warmup())
    assert differences(judge, copy_weights(running.state.gan.judge)) == []
