"""A trial as its caller sees it: stages, reports, refreshes, images."""

import math
from typing import Any

import pytest
import torch

from distill_tune.distill.configuration.joint_training import JointTraining
from distill_tune.distill.configuration.probe import probe
from distill_tune.distill.gan_loss_terms import GanLosses
from distill_tune.distill.gan_steps import GanTrainer
from distill_tune.distill.joint_stage import JointStage
from distill_tune.distill.metrics.best_weights import Best, copy_weights
from distill_tune.distill.monitoring.evaluation import evaluate
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Report
from distill_tune.errors import InputError
from distill_tune.interfaces import ImageData
from tests.distill.conftest import Begin
from tests.distill.tiny import config, differences, trial


@pytest.fixture(scope="module")
def reports(digits: ImageData) -> list[Report]:
    return list(trial(digits, joint={"epochs": 3, "refresh": 2, "monitor_every": 1}).run())


def test_the_stages_come_in_order_with_a_report_for_every_epoch(reports: list[Report]) -> None:
    seen = [(report.stage, report.step, report.num_steps) for report in reports]
    assert seen == [
        *(("classifier", n, 3) for n in (1, 2, 3)),
        *(("warmup", n, 4) for n in (1, 2, 3, 4)),
        *(("triplet", n, 3) for n in (1, 2, 3)),
        *(("joint", n, 3) for n in (1, 2, 3)),
    ]
    assert all(report.seconds > 0 for report in reports)


def test_every_number_of_every_report_is_finite_and_rates_are_rates(
    reports: list[Report],
) -> None:
    for report in reports:
        for name, value in report.metrics.items():
            assert math.isfinite(value), name
            if name.endswith(("accuracy", "share", "agreement", "turnover", "collapsed")):
                assert 0 <= value <= 1, name


def test_stage_three_reports_what_the_method_promises(reports: list[Report]) -> None:
    joint = [report.metrics for report in reports if report.stage == "joint"]
    promised = {
        "val/accuracy",
        "val/loss",
        "val/best_accuracy",
        "loss/classifier",
        "loss/generator",
        "loss/discriminator",
        "loss/triplet",
        "triplet/active_share",
        "synthetic_ratio",
        "synthetic/diversity",
        "synthetic/rank_ratio",
        "synthetic/vendi",
        "synthetic/kid_hard",
        "synthetic/kid_all",
        "synthetic/border_share",
        "synthetic/label_agreement",
        "synthetic/nearest_ratio",
        "synthetic/feature_norm_ratio",
        "synthetic/collapsed",
        "gan/gradient_adversarial",
        "gan/gradient_triplet",
        "gan/discriminator_gap",
        "hard/share",
    }
    for metrics in joint:
        assert promised <= metrics.keys()
    assert [metrics["synthetic_ratio"] for metrics in joint] == [0.3, 0.6, 0.6]
    assert ["hard/turnover" in metrics for metrics in joint] == [False, False, True]
    assert ["val/final_accuracy" in metrics for metrics in joint] == [False, False, True]
    best = max(metrics["val/accuracy"] for metrics in joint)
    assert joint[-1]["val/best_accuracy"] == joint[-1]["val/final_accuracy"] == best


def test_the_warm_up_reports_diversity_against_real_images(reports: list[Report]) -> None:
    for stage in ("warmup", "triplet"):
        last = [report for report in reports if report.stage == stage][-1].metrics
        assert last["synthetic/pixel_diversity"] > 0
        assert last["synthetic/pixel_rank_ratio"] > 0


def test_a_finished_trial_holds_its_best_classifier(digits: ImageData) -> None:
    running = trial(digits)
    last = list(running.run())[-1].metrics
    assert running.state.stage == "done"
    held = evaluate(running.state.classifier, running.data.val)["accuracy"]
    assert held == last["val/final_accuracy"]
    assert list(running.run()) == []


def test_stages_of_no_steps_are_passed_over(digits: ImageData) -> None:
    running = trial(digits, gan={"warmup_steps": 0, "triplet_steps": 0}, joint={"epochs": 1})
    assert [report.stage for report in running.run()] == ["classifier"] * 3 + ["joint"]


def test_reports_of_long_stages_are_some_twenty(digits: ImageData) -> None:
    running = trial(digits, gan={"warmup_steps": 43, "batch_size": 4})
    steps = [report.step for report in running.run_stage("warmup")]
    assert steps == [*range(2, 43, 2), 43]


def test_the_triplet_weight_ramps_up_to_lambda(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trial(digits, joint={"triplet_weight": 0.6, "epochs": 1})
    weights = []
    original = GanTrainer.step

    def watched(self: GanTrainer, *, triplet_weight: float, **others: Any) -> GanLosses:
        weights.append(round(triplet_weight, 6))
        return original(self, triplet_weight=triplet_weight, **others)

    monkeypatch.setattr(GanTrainer, "step", watched)
    list(running.run())
    assert weights == [0, 0, 0, 0, 0.2, 0.4, 0.6, 0.6, 0.6]


@pytest.mark.parametrize(
    ("refresh", "expected"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3]), ("never", [])]
)
def test_hard_images_are_labelled_anew_every_so_many_epochs(
    at_joint: Begin, refresh: object, expected: list[int]
) -> None:
    running = at_joint(joint={"refresh": refresh, "epochs": 5})
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    assert [epoch for epoch in range(5) if stage._is_refresh_due(epoch)] == expected


def test_on_a_plateau_they_are_labelled_after_two_epochs_without_gain(at_joint: Begin) -> None:
    running = at_joint(joint={"refresh": "plateau", "epochs": 9})
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    running.state.best = Best(0.5, epoch=3)
    due = []
    for epoch in range(3, 9):
        if stage._is_refresh_due(epoch):
            due.append(epoch)
            running.state.last_refresh = epoch
    assert due == [5, 7]


def test_a_refresh_gives_the_snapshot_the_classifier_of_now(at_joint: Begin) -> None:
    running = at_joint(joint={"refresh": 1, "epochs": 3})
    reference = copy_weights(running.state.reference)
    reports = running.run()
    next(reports)
    assert differences(copy_weights(running.state.snapshot), reference) == []
    then = copy_weights(running.state.classifier)
    next(reports)
    assert differences(copy_weights(running.state.snapshot), then) == []
    assert differences(copy_weights(running.state.reference), reference) == []


def test_extra_batches_follow_ratio_and_ramp_and_are_fresh(at_joint: Begin) -> None:
    running = at_joint(joint={"synthetic_ratio": 2, "ramp_epochs": 4})
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    found = []
    for epoch in range(6):
        batch = stage.extra_batch(epoch, 0, 80)
        assert batch is not None
        assert not batch.images.requires_grad
        assert batch.images.abs().max().item() <= 1
        found.append((len(batch.labels), batch.weight))
    # At least as many as there are real ones: batch norm on a few would be noise.
    assert found == [(80, 0.5), (80, 1.0), (120, 1.5), *[(160, 2.0)] * 3]
    one, again, other = (stage.extra_batch(5, step, 80) for step in (0, 0, 1))
    assert one is not None
    assert again is not None
    assert other is not None
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])
    none = at_joint(joint={"synthetic_ratio": 0})
    assert JointStage(none.trainer, None).extra_batch(0, 0, 80) is None
    assert at_joint(joint={"ramp_epochs": 0}).config.joint.ramp_epochs == 0


def test_without_a_ramp_the_first_epoch_has_the_whole_ratio(at_joint: Begin) -> None:
    running = at_joint(joint={"synthetic_ratio": 1.5, "ramp_epochs": 0})
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    assert [stage.weight(epoch) for epoch in (0, 5)] == [1.5, 1.5]


def test_a_ramp_down_ends_with_an_epoch_of_real_images_alone(at_joint: Begin) -> None:
    joint = {"synthetic_ratio": 2, "ramp_epochs": 2, "ramp_down_epochs": 4, "epochs": 7}
    running = at_joint(joint=joint)
    stage = JointStage(running.trainer, Reference.measure(running.trainer))
    assert [stage.weight(epoch) for epoch in range(7)] == [1, 2, 2, 1.5, 1, 0.5, 0]
    assert stage.extra_batch(5, 0, 80) is not None
    assert stage.extra_batch(6, 0, 80) is None
    overlapping = JointTraining(ramp_epochs=4, ramp_down_epochs=4, epochs=4, synthetic_ratio=1)
    assert [overlapping.ratio(epoch) for epoch in range(4)] == [0.25, 0.5, 0.25, 0]


def test_sample_images_are_the_same_each_time_and_class_by_class(at_joint: Begin) -> None:
    running = at_joint()
    images = running.sample_images(3)
    assert images.shape == (30, 1, 8, 8)
    assert torch.equal(images, running.sample_images(3))
    assert not images.requires_grad
    assert -1 <= images.min().item() <= images.max().item() <= 1


def test_a_trial_runs_on_colour_images_of_another_size(mnist16: ImageData) -> None:
    train, val = (split._replace(images=split.images.repeat(1, 3, 1, 1)) for split in
                  (mnist16.train, mnist16.val))  # fmt: skip
    colour = ImageData("colour", mnist16.classes, train, val, flip=True, skipped=(), digest="0")
    running = trial(colour, classifier={"epochs": 1}, joint={"epochs": 1})
    assert list(running.run())[-1].stage == "joint"
    assert running.sample_images(1).shape == (10, 3, 16, 16)


def test_a_probe_says_what_does_not_fit_before_anything_starts(digits: ImageData) -> None:
    probe(config(), digits)
    with pytest.raises(InputError, match="vgg11 at 16 px"):
        probe(config(backbone={"name": "vgg11", "input_size": 16}), digits)


def test_stage_one_is_a_candidate_for_the_best_weights(at_joint: Begin) -> None:
    running = at_joint(
        joint={"epochs": 2, "synthetic_ratio": 0, "classifier_lr_factor": 1e3},
    )
    first = evaluate(running.state.classifier, running.data.val)["accuracy"]
    before = copy_weights(running.state.classifier)
    reports = list(running.run())
    assert max(report.metrics["val/accuracy"] for report in reports) < first
    assert reports[-1].metrics["val/final_accuracy"] == first
    for name, tensor in running.state.classifier.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert running.state.best.epoch == 0


def test_the_average_follows_its_generator_within_the_stage(at_joint: Begin) -> None:
    shares = []
    for decay in (0.999, 0.5):
        running = at_joint(joint={"epochs": 30, "gan_lr": 1e-2}, gan={"ema_decay": decay})
        gan = running.state.gan
        weights = "blocks.0.conv1.weight"
        # An average that has many steps behind it moves by the decay alone.
        gan.ema.n_averaged.fill_(10_000)
        began = gan.ema.module.state_dict()[weights].clone()
        list(running.run())
        left = gan.generator.state_dict()[weights] - gan.ema.module.state_dict()[weights]
        way = gan.generator.state_dict()[weights] - began
        shares.append((left.norm() / way.norm()).item())
    assert shares[1] < shares[0] < 0.5
