"""Every loss against numbers worked by hand, and the triplet loss against its theory."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_tune.distill.losses import (
    FeatureNorm,
    MarginUnit,
    discriminator_hinge,
    generator_hinge,
    lecam_penalty,
    margin_and_unit,
    mismatch_hinge,
    mode_seeking_loss,
    normalise,
    triplet_loss,
)


def points(seed: int, num: int = 40, width: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    anchors, hard, easy = torch.randn(3, num, width, generator=generator)
    return anchors, hard, easy


def test_the_triplet_loss_of_three_points_on_a_line() -> None:
    anchor, hard, easy = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 2.0]]])
    assert triplet_loss(anchor, hard, easy, margin=0.5).item() == 3.5
    assert triplet_loss(anchor, easy, hard, margin=0.5).item() == 0
    assert triplet_loss(anchor, hard, easy, margin=0.5, unit=2.0).item() == 2


def test_without_normalisation_it_is_torchs_triplet_margin_loss() -> None:
    anchors, hard, easy = points(0)
    for margin in (0.05, 0.3, 2.0):
        literal, unit = margin_and_unit(
            margin, scale=7.0, feature_norm="none", margin_unit="feature"
        )
        ours = triplet_loss(anchors, hard, easy, margin=literal, unit=unit)
        theirs = F.triplet_margin_loss(
            anchors, hard, easy, margin=margin, eps=0.0, reduction="none"
        )
        assert torch.allclose(ours, theirs, rtol=0, atol=2e-6)
        mean = F.triplet_margin_loss(anchors, hard, easy, margin=margin)
        assert ours.mean().item() == pytest.approx(mean.item(), abs=1e-5)


def test_its_mean_runs_over_all_triplets_and_not_over_the_active_ones() -> None:
    anchors = torch.zeros(4, 2)
    hard = torch.tensor([[1.0, 0.0]] * 4)
    easy = torch.tensor([[1.0, 0.0], [5.0, 0.0], [5.0, 0.0], [5.0, 0.0]])
    hinge = triplet_loss(anchors, hard, easy, margin=1.0)
    assert hinge.tolist() == [1, 0, 0, 0]
    assert hinge.mean().item() == F.triplet_margin_loss(anchors, hard, easy, eps=0.0).item() == 0.25


@given(st.integers(0, 2**31), st.floats(0.1, 50))
def test_no_anchor_beats_the_triangle_bound(seed: int, spread: float) -> None:
    anchors, hard, easy = points(seed)
    anchors = anchors * spread
    gap = (anchors - easy).norm(dim=1) - (anchors - hard).norm(dim=1)
    assert bool((gap <= (hard - easy).norm(dim=1) + spread * 1e-5).all())


@given(st.integers(0, 2**31), st.floats(0.1, 20))
def test_above_the_triangle_bound_the_hinge_never_rests(seed: int, spread: float) -> None:
    anchors, hard, easy = points(seed)
    bound = (hard - easy).norm(dim=1).max().item()
    hinge = triplet_loss(anchors * spread, hard, easy, margin=bound + spread * 1e-3)
    assert bool((hinge > 0).all())
    at_hard = triplet_loss(hard, hard, easy, margin=bound * 1.001)
    assert bool((at_hard > 0).all())


def test_below_the_triangle_bound_the_hard_sample_itself_is_at_rest() -> None:
    _, hard, easy = points(1)
    least = (hard - easy).norm(dim=1).min().item()
    assert triplet_loss(hard, hard, easy, margin=0.99 * least).max().item() == 0


@given(st.integers(0, 2**31))
def test_the_active_share_is_monotone_in_the_margin(seed: int) -> None:
    anchors, hard, easy = points(seed)
    shares = [
        (triplet_loss(anchors, hard, easy, margin=margin) > 0).float().mean().item()
        for margin in torch.linspace(0, 12, 25).tolist()
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == 1


def test_the_gradient_at_distance_zero_is_a_number() -> None:
    anchors = torch.randn(5, 4, requires_grad=True)
    same = anchors.detach().clone()
    triplet_loss(anchors, same, same, margin=1.0).sum().backward()
    assert anchors.grad is not None
    assert bool(torch.isfinite(anchors.grad).all())


def test_the_gradient_pulls_towards_hard_and_away_from_easy() -> None:
    anchors = torch.zeros(1, 2, requires_grad=True)
    hard, easy = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    triplet_loss(anchors, hard, easy, margin=5.0).sum().backward()
    assert anchors.grad is not None
    assert anchors.grad.tolist() == [[-1, 1]]


@pytest.mark.parametrize(
    ("feature_norm", "margin_unit", "expected"),
    [
        ("scale", "relative", (0.3, 4.0)),
        ("scale", "feature", (0.075, 4.0)),
        ("none", "relative", (1.2, 1.0)),
        ("none", "feature", (0.3, 1.0)),
        ("l2", "relative", (1.2, 1.0)),
        ("l2", "feature", (0.3, 1.0)),
    ],
)
def test_the_margin_has_the_unit_that_is_asked_for(
    feature_norm: FeatureNorm, margin_unit: MarginUnit, expected: tuple[float, float]
) -> None:
    got = margin_and_unit(0.3, scale=4.0, feature_norm=feature_norm, margin_unit=margin_unit)
    assert got == pytest.approx(expected)


def test_a_relative_margin_does_not_notice_the_size_of_features() -> None:
    anchors, hard, easy = points(3)
    hinges = []
    for size in (1.0, 14.6 / 5.4):
        margin, unit = margin_and_unit(
            0.3, scale=2.5 * size, feature_norm="scale", margin_unit="relative"
        )
        hinges.append(
            triplet_loss(anchors * size, hard * size, easy * size, margin=margin, unit=unit)
        )
    assert torch.allclose(hinges[0], hinges[1], atol=1e-5)


def test_l2_puts_features_on_the_unit_sphere_and_keeps_zero_finite() -> None:
    features = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert normalise(features, "l2")[0].tolist() == pytest.approx([0.6, 0.8])
    assert bool(torch.isfinite(normalise(features, "l2")).all())
    assert normalise(features, "scale") is features
    assert normalise(features, "none") is features


def test_the_hinge_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert discriminator_hinge(real, fake).item() == 0.5 + 1.0
    assert generator_hinge(fake).item() == 1.0
    assert mismatch_hinge(torch.tensor([2.0, 0.0, -3.0])).item() == pytest.approx(4 / 3)


def test_the_lecam_penalty_by_hand() -> None:
    real, fake = torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0])
    penalty = lecam_penalty(real, fake, torch.tensor(1.0), torch.tensor(-0.5))
    assert penalty.item() == pytest.approx((1.5**2 + 0) / 2 + (1 + 0) / 2)


def test_mode_seeking_rewards_difference_up_to_that_of_real_images() -> None:
    images, goals = torch.zeros(3, 1, 4, 4), torch.full((3,), 2.0)
    assert mode_seeking_loss(images, images, goals).item() == 1
    assert mode_seeking_loss(images, images + 1, goals).item() == 0.5
    assert mode_seeking_loss(images, images + 9, goals).item() == 0
    unlike = torch.tensor([1.0, 2.0, 4.0])
    assert mode_seeking_loss(images, images + 1, unlike).item() == pytest.approx((0.5 + 0.75) / 3)
    assert math.isfinite(mode_seeking_loss(images, images + 1, torch.zeros(3)).item())
