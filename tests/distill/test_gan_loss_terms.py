"""What the terms of the GAN's losses ask for, and that they act only where they have weight."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill_tune.distill.compute.device_data import ClassPools
from distill_tune.distill.gan_loss_terms import in_pairs, other_labels, sameness
from distill_tune.distill.losses import discriminator_hinge, mismatch_hinge
from distill_tune.distill.metrics.best_weights import copy_weights
from distill_tune.distill.monitoring.diversity import class_spreads
from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData, Stage
from tests.distill.tiny import differences, trial


def watch(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Note down the labels that a network is asked with, and its answers."""
    seen = []
    original = network.forward

    def watched(first: Tensor, labels: Tensor, signal: float = 1.0) -> Tensor:
        output: Tensor = original(first, labels, signal)
        seen.append((labels, output.detach()))
        return output

    monkeypatch.setattr(network, "forward", watched)
    return seen


def test_other_labels_are_all_others_alike() -> None:
    labels = torch.arange(3).repeat(3000)
    others = other_labels(labels, 3, torch.Generator().manual_seed(0))
    counts = torch.bincount(3 * labels + others, minlength=9).view(3, 3)
    assert counts.diagonal().tolist() == [0, 0, 0]
    assert counts.sum() == 9000
    assert int((counts + 1500 * torch.eye(3, dtype=torch.int64)).min()) > 1400


@pytest.mark.parametrize("count", [2, 6, 7])
def test_labels_in_pairs_repeat_their_first_half(count: int) -> None:
    labels = torch.arange(count)
    half = count // 2
    paired = in_pairs(labels)
    assert paired[:half].tolist() == paired[half : 2 * half].tolist() == list(range(half))
    assert paired[2 * half :].tolist() == labels[2 * half :].tolist()


def test_class_spreads_by_hand() -> None:
    images = torch.tensor([0, 255, 255, 10, 30, 7], dtype=torch.uint8)[:, None, None, None]
    images = images.expand(6, 1, 2, 2)
    pools = ClassPools.of([torch.tensor([0, 1, 2]), torch.tensor([3, 4]), torch.tensor([5])])
    expected = [4 / 3, 20 / 127.5, 0.0]
    assert class_spreads(images, pools).tolist() == pytest.approx(expected, abs=1e-6)


def test_sameness_compares_the_images_of_a_pair_with_real_ones_of_their_class() -> None:
    images = torch.zeros(5, 1, 2, 2)
    images[2], images[3], images[4] = 1.0, 0.5, 9.0
    labels = torch.tensor([1, 0, 1, 0, 1])
    found = sameness(images, labels, torch.tensor([2.0, 4.0]))
    assert found.item() == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_the_discriminator_is_told_of_wrong_labels_of_real_images(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trial(digits, gan={"mismatch": 0.7, "lecam": 0.0, "class_ramp_steps": 0})
    asked = watch(running.state.gan.discriminator, monkeypatch)
    losses = running.trainer.step(lr=1e-3, triplet_weight=0.0)
    labels, logits = asked[0]
    real = slice(0, len(labels) // 2)
    assert bool((labels[:, 0] != labels[:, 1]).all())
    assert labels[real, 0].tolist() == running.trainer.real_batch(0, 0)[1].tolist()
    expected = discriminator_hinge(*logits[:, 0].chunk(2)) + 0.7 * mismatch_hinge(logits[real, 1])
    assert losses.discriminator.item() == pytest.approx(expected.item(), rel=1e-6)


def test_without_weight_no_wrong_label_is_asked_for(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trial(digits, gan={"mismatch": 0.0, "mode_seeking": 0.0})
    asked = watch(running.state.gan.discriminator, monkeypatch)
    running.trainer.step(lr=1e-3, triplet_weight=0.0)
    assert [labels.ndim for labels, _ in asked] == [1, 1]


def test_mode_seeking_asks_for_every_class_twice_and_for_no_more_images(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    for weight in (0.0, 0.5):
        running = trial(digits, gan={"mode_seeking": weight})
        asked = watch(running.state.gan.generator, monkeypatch)
        running.trainer.step(lr=1e-3, triplet_weight=0.0)
        assert len(asked) == 2
        batches.append(asked[1][0])
    assert batches[0].tolist() != in_pairs(batches[0]).tolist()
    assert batches[1].tolist() == in_pairs(batches[0]).tolist()


def test_mode_seeking_keeps_images_of_a_class_apart(digits: ImageData) -> None:
    def distance(weight: float) -> float:
        running = trial(digits, gan={"mode_seeking": weight, "class_ramp_steps": 0})
        for _ in range(30):
            running.trainer.step(lr=2e-3, triplet_weight=0.0)
        return spread_of(running)

    assert distance(20.0) > 1.15 * distance(0.0)


@pytest.mark.parametrize(("stage", "is_changed"), [("triplet", False), ("joint", True)])
def test_stage_3_can_have_a_mode_seeking_weight_of_its_own(
    digits: ImageData, stage: Stage, *, is_changed: bool
) -> None:
    def spread(**joint: float) -> float:
        running = trial(digits, gan={"class_ramp_steps": 0}, joint=joint)
        running.state.stage = stage
        for _ in range(30):
            running.trainer.step(lr=2e-3, triplet_weight=0.0)
        return spread_of(running)

    own, usual = spread(mode_seeking=-20.0), spread()
    assert own < 0.7 * usual if is_changed else own == usual


def spread_of(running: Trial) -> float:
    latent = running.trainer.latent("monitor", 60, 3)
    images = running.state.gan.generator.eval()(latent.z, torch.zeros_like(latent.labels), 1.0)
    return torch.nn.functional.pdist(images.detach().flatten(1)).mean().item()


@pytest.mark.parametrize(
    ("field", "value"), [("lecam", 5.0), ("mode_seeking", 5.0), ("mismatch", 5.0)]
)
def test_an_extra_term_changes_the_step_only_when_it_has_weight(
    digits: ImageData, field: str, value: float
) -> None:
    def weights(**gan: Any) -> dict[str, Any]:
        running = trial(digits, gan={"lecam_start": 1, **gan})
        for _ in range(3):
            running.trainer.step(lr=1e-2, triplet_weight=0.0)
        return copy_weights(running.state.gan.generator)

    assert differences(weights(**{field: 0.0}), weights(**{field: 0.0})) == []
    assert differences(weights(**{field: 0.0}), weights(**{field: value})) != []


def test_lecam_waits_for_its_step_but_its_averages_do_not(digits: ImageData) -> None:
    ends = []
    for start in (2, 3):
        running = trial(digits, gan={"lecam": 5.0, "lecam_start": start})
        states = []
        for _ in range(3):
            running.trainer.step(lr=1e-2, triplet_weight=0.0)
            states.append(copy_weights(running.state.gan.discriminator))
        assert running.state.gan.logit_averages.abs().min().item() > 0
        ends.append(states)
    assert differences(ends[0][1], ends[1][1]) == []
    assert differences(ends[0][2], ends[1][2]) != []
