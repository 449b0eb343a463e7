"""The monitors by hand, on a generator that draws one image a class, and on real images."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.gan_draws import Latent
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring import evaluation
from distill_tune.distill.monitoring.diversity import (
    effective_rank,
    vendi_score,
    within_class_distance,
)
from distill_tune.distill.monitoring.epoch_metrics import (
    discriminator_gap,
    gradient_norms,
    is_collapsed,
    is_warning,
    measure,
)
from distill_tune.distill.monitoring.reference import Reference
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import Metrics, Split
from tests.distill.conftest import Begin
from tests.distill.tiny import differences


def health(running: Trial, images: Tensor, labels: Tensor) -> Metrics:
    """Measure these images as if the generator had drawn them."""
    assert running.state.sets is not None
    reference = Reference.measure(running.trainer)
    latent = Latent(torch.zeros(len(labels), 8), labels)
    fixed = dataclasses.replace(reference, latent=latent)
    return measure(running.trainer, fixed, images, running.state.sets)


def one_a_class(running: Trial, copies: int = 10) -> tuple[Tensor, Tensor]:
    """Return the first image of each class, again and again."""
    train = running.data.train
    first = torch.stack([(train.labels == n).nonzero()[0, 0] for n in range(10)])
    chosen = first.repeat_interleave(copies)
    return to_float(train.images[chosen]), train.labels[chosen]


def test_many_images_are_made_and_judged_in_batches_and_are_the_same(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand at once would be a trial's peak of memory."""
    running = at_joint()
    gan, trainer = running.state.gan, running.trainer
    latent = trainer.latent("monitor", 600)
    whole = gan.ema(*latent, trainer.class_signal())
    gap = discriminator_gap(trainer)
    sizes: list[int] = []
    for network in (gan.ema, gan.discriminator):
        network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    assert torch.equal(trainer.synthesise(latent), whole)
    assert sizes == [250, 250, 100]
    sizes.clear()
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 40)
    assert discriminator_gap(trainer) == pytest.approx(gap, abs=1e-5)
    assert len(sizes) > 2
    assert max(sizes) == 40


def test_where_cusolver_fails_the_cpu_computes_the_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(20, 5)
    expected = effective_rank(values), vendi_score(values)
    compute, devices = torch.linalg.eigvalsh, list[str]()

    def failing(matrix: Tensor) -> Tensor:
        devices.append(matrix.device.type)
        if len(devices) % 2:
            raise RuntimeError("cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED")
        found: Tensor = compute(matrix)
        return found

    monkeypatch.setattr(torch.linalg, "eigvalsh", failing)
    assert (effective_rank(values), vendi_score(values)) == expected
    assert len(devices) == 4


def test_the_vendi_score_is_one_for_equal_and_n_for_orthogonal_features() -> None:
    assert vendi_score(torch.ones(7, 5)) == pytest.approx(1, abs=1e-4)
    assert vendi_score(3 * torch.eye(6)) == pytest.approx(6, abs=1e-4)
    two_kinds = torch.eye(2).repeat_interleave(50, dim=0)
    assert vendi_score(two_kinds) == pytest.approx(2, abs=1e-4)
    assert math.isfinite(vendi_score(torch.zeros(4, 3)))


def test_the_effective_rank_counts_the_directions_of_spread() -> None:
    corners = torch.cat([torch.eye(3), -torch.eye(3)])
    assert effective_rank(corners) == pytest.approx(3, abs=1e-4)
    line = torch.arange(9.0)[:, None] * torch.tensor([[1.0, 2.0]])
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.ones(9, 4) * 1e3) == 0
    assert effective_rank(torch.ones(1, 4)) == 0
    shares = torch.tensor([0.8, 0.2])
    box = torch.cat([torch.diag(shares.sqrt()), -torch.diag(shares.sqrt())])
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert effective_rank(box) == pytest.approx(math.exp(entropy), abs=1e-4)


def test_the_distance_within_a_class_is_a_mean_of_means() -> None:
    features = torch.tensor([[0.0], [2.0], [0.0], [0.0], [6.0], [9.0]])
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    assert within_class_distance(features, labels) == pytest.approx((2 + 4) / 2)
    assert within_class_distance(features, torch.arange(6)) == 0


def test_one_image_a_class_is_collapse(at_joint: Begin) -> None:
    running = at_joint()
    metrics = health(running, *one_a_class(running))
    assert metrics["diversity"] == 0
    assert metrics["pixel_diversity"] == 0
    assert is_collapsed(metrics)
    assert is_warning(metrics)
    assert metrics["nearest_ratio"] < 0.01


def test_diversity_falls_with_the_share_of_images_that_are_copies_of_one(at_joint: Begin) -> None:
    """A class that collapses alone lowers the mean over ten classes by its tenth."""
    running = at_joint()
    train = running.data.train
    order = train.labels.argsort(stable=True)
    images, labels = to_float(train.images[order]), train.labels[order]
    each = len(labels) // 10
    copies = images[::each].repeat_interleave(each, dim=0)
    place = torch.arange(len(labels))
    found = [
        health(running, torch.where(is_copy[:, None, None, None], copies, images), labels)
        for is_copy in (place < 0, place < each, place % each < each // 2, place >= 0)
    ]
    diversities = [one["diversity"] for one in found]
    assert diversities == sorted(diversities, reverse=True)
    assert diversities[1] == pytest.approx(0.9 * diversities[0], rel=0.1)
    # Of two images, both are copies of one with a chance of a quarter.
    assert 0.6 < diversities[2] / diversities[0] < 0.9
    assert diversities[3] == pytest.approx(0, abs=1e-3)


def test_one_image_for_all_classes_is_collapse(at_joint: Begin) -> None:
    running = at_joint()
    images, labels = one_a_class(running)
    metrics = health(running, images[:1].expand_as(images), labels)
    assert is_collapsed(metrics)
    assert metrics["rank_ratio"] == 0
    assert metrics["vendi"] == pytest.approx(1, abs=1e-3)


def test_a_little_noise_on_one_image_a_class_is_still_collapse(at_joint: Begin) -> None:
    running = at_joint()
    images, labels = one_a_class(running)
    metrics = health(running, images + 0.02 * torch.randn_like(images), labels)
    assert 0 < metrics["diversity"] < 0.25
    assert is_collapsed(metrics)


@pytest.mark.parametrize("part", ["train", "val"])
def test_real_images_are_no_collapse(at_joint: Begin, part: str) -> None:
    running = at_joint()
    split: Split = getattr(running.data, part)
    metrics = health(running, to_float(split.images), split.labels)
    assert not is_collapsed(metrics)
    assert not is_warning(metrics)
    assert metrics["diversity"] > 0.7
    assert metrics["pixel_diversity"] == pytest.approx(1, abs=0.15)
    assert metrics["label_agreement"] > 0.5
    assert metrics["feature_norm_ratio"] == pytest.approx(1, abs=0.3)
    unseen = part == "val"
    assert metrics["nearest_ratio"] == pytest.approx(1 if unseen else 0, abs=0.02)
    assert metrics["vendi"] > 1.5


def test_half_of_the_diversity_is_a_warning_and_no_collapse() -> None:
    for value, warns, collapses in ((0.51, False, False), (0.4, True, False), (0.2, True, True)):
        for name, other in (("diversity", "rank_ratio"), ("rank_ratio", "diversity")):
            metrics = {name: value, other: 1.0}
            assert is_warning(metrics) is warns
            assert is_collapsed(metrics) is collapses


@pytest.mark.parametrize("num_hard", [0, 1])
def test_too_few_hard_images_to_compare_with_are_no_collapse(
    at_joint: Begin, num_hard: int
) -> None:
    running = at_joint()
    assert running.state.sets is not None
    running.state.sets.hard.zero_()
    running.state.sets.hard[:num_hard] = True
    split = running.data.val
    metrics = health(running, to_float(split.images), split.labels)
    assert all(math.isfinite(value) for value in metrics.values())
    assert not is_collapsed(metrics)


def test_the_share_near_a_border_counts_near_ties(at_joint: Begin) -> None:
    running = at_joint()
    images, labels = to_float(running.data.val.images), running.data.val.labels
    head = running.state.reference.head
    with torch.no_grad():
        head.weight.mul_(1e-6)
        head.bias.zero_()
    assert health(running, images, labels)["border_share"] == 1
    with torch.no_grad():
        head.bias[3] = 5.0
    metrics = health(running, images, labels)
    assert metrics["border_share"] == 0
    assert metrics["label_agreement"] == pytest.approx(0.1)


def test_measuring_changes_nothing(at_joint: Begin) -> None:
    running = at_joint()
    before = running.state.gan.state_dict()
    kept = {name: value.clone() for name, value in before["discriminator"].items()}
    reference = copy_weights(running.state.reference)
    state = torch.get_rng_state()
    running.state.gan.discriminator.train()
    health(running, *one_a_class(running))
    first = gradient_norms(running.trainer), discriminator_gap(running.trainer)
    assert (gradient_norms(running.trainer), discriminator_gap(running.trainer)) == first
    assert running.state.gan.discriminator.training
    assert differences(kept, running.state.gan.discriminator.state_dict()) == []
    assert differences(reference, copy_weights(running.state.reference)) == []
    assert torch.equal(state, torch.get_rng_state())
    for network in (running.state.gan.generator, running.state.gan.discriminator):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_gradient_norms_scale_with_lambda_and_are_left_out_without_it(at_joint: Begin) -> None:
    one, double = (
        gradient_norms(at_joint(joint={"triplet_weight": weight}).trainer) for weight in (1.0, 2.0)
    )
    assert one["gradient_adversarial"] == double["gradient_adversarial"] > 0
    assert 2 * one["gradient_triplet"] == pytest.approx(double["gradient_triplet"])
    without = gradient_norms(at_joint(joint={"triplet_weight": 0.0}).trainer)
    assert without.keys() == {"gradient_adversarial"}


def test_the_gap_of_a_discriminator_that_knows_its_training_images(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint()
    known = {tuple(image.flatten().tolist()) for image in to_float(running.data.train.images)}

    def memorised(images: Tensor, *_: object) -> Tensor:
        return torch.tensor([float(tuple(i.flatten().tolist()) in known) for i in images])

    monkeypatch.setattr(running.state.gan.discriminator, "forward", memorised)
    assert discriminator_gap(running.trainer) == 1


def test_the_gap_compares_the_same_classes_even_where_the_data_are_sorted(
    at_joint: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = at_joint()
    train = running.data.train
    order = train.labels.argsort()
    train.images.copy_(train.images[order].clone())
    train.labels.copy_(train.labels[order].clone())

    def by_class(_: Tensor, labels: Tensor, *__: object) -> Tensor:
        return labels.float()

    monkeypatch.setattr(running.state.gan.discriminator, "forward", by_class)
    assert abs(discriminator_gap(running.trainer)) < 0.25
