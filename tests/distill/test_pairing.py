"""Pairs: who is drawn, at what cost, within which class."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_tune.distill.compute.device_data import ClassPools
from distill_tune.distill.compute.random_streams import stream, uniform
from distill_tune.distill.hardness import HardSets, label
from distill_tune.distill.pairing import assign, pair
from tests.distill.conftest import Begin


def cost(anchors: Tensor, hard: Tensor, features: Tensor) -> float:
    return float((anchors.double() - features[hard].double()).norm(dim=1).sum())


def real_sets(at_joint: Begin) -> tuple[HardSets, Tensor]:
    trial = at_joint()
    return label(trial.state.snapshot, trial.data, trial.config, 0), trial.data.train.labels


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 5))
def test_assignment_never_costs_more_than_the_draw_that_it_permutes(
    seed: int, num: int, num_classes: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(60, 4, generator=generator)
    anchors = torch.randn(num, 4, generator=generator)
    labels = torch.randint(num_classes, (num,), generator=generator)
    hard = torch.randint(60, (num,), generator=generator)
    assigned = assign(anchors, hard, labels, features)
    assert cost(anchors, assigned, features) <= cost(anchors, hard, features) + 1e-4
    for number in labels.unique():
        drawn, given_back = hard[labels == number], assigned[labels == number]
        assert sorted(drawn.tolist()) == sorted(given_back.tolist())


def test_assignment_undoes_a_shuffle_within_each_class() -> None:
    features = torch.randn(30, 3)
    labels = torch.arange(30) % 3
    hard = torch.arange(30).view(10, 3).flip(0).reshape(-1)
    assert torch.equal(assign(features, hard, labels, features), torch.arange(30))


def test_assignment_tells_close_features_far_from_the_origin_apart() -> None:
    steps = torch.arange(30)[:, None] * torch.ones(1, 64) * 1e-3
    features = 50.0 + steps
    anchors = features + 1e-4
    assigned = assign(anchors, torch.arange(30).flip(0), torch.zeros(30), features)
    assert torch.equal(assigned, torch.arange(30))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_an_anchor_that_is_no_number_is_left_for_the_loss_to_show(poison: float) -> None:
    anchors = torch.zeros(6, 3)
    anchors[2] = poison
    assigned = assign(anchors, torch.arange(6), torch.zeros(6), torch.randn(6, 3))
    assert sorted(assigned.tolist()) == list(range(6))


@pytest.mark.parametrize("pairing", ["assign", "class"])
def test_hard_and_easy_are_of_the_anchors_class(at_joint: Begin, pairing: Any) -> None:
    sets, real_labels = real_sets(at_joint)
    labels = torch.arange(200) % 10
    anchors = torch.randn(200, sets.features.shape[1])
    pairs = pair(anchors, labels, sets, pairing, stream(0, "pairing"))
    assert torch.equal(real_labels[pairs.hard], labels)
    assert torch.equal(real_labels[pairs.easy], labels)
    assert bool(sets.hard[pairs.hard].all() and sets.easy[pairs.easy].all())
    assert pairs.weights.tolist() == [1] * 200


def test_assign_and_class_draw_the_same_samples(at_joint: Begin) -> None:
    sets, _ = real_sets(at_joint)
    labels = torch.arange(60) % 10
    anchors = torch.randn(60, sets.features.shape[1])
    one = pair(anchors, labels, sets, "class", stream(4, "pairing"))
    other = pair(anchors, labels, sets, "assign", stream(4, "pairing"))
    assert torch.equal(one.easy, other.easy)
    assert torch.equal(one.hard.sort().values, other.hard.sort().values)
    assert cost(anchors, other.hard, sets.features) < cost(anchors, one.hard, sets.features)


def test_contrast_matches_hard_within_the_class_and_draws_easy_over_all(at_joint: Begin) -> None:
    sets, real_labels = real_sets(at_joint)
    labels = torch.zeros(400, dtype=torch.int64)
    anchors = torch.randn(400, sets.features.shape[1])
    pairs = pair(anchors, labels, sets, "contrast", stream(0, "pairing"))
    within = pair(anchors, labels, sets, "assign", stream(0, "pairing"))
    assert torch.equal(pairs.hard, within.hard)
    assert set(pairs.easy.tolist()) == set(sets.easy.nonzero().squeeze(1).tolist())
    assert len(real_labels[pairs.easy].unique()) == 10
    assert pairs.weights.tolist() == [1] * 400


def test_any_draws_over_all_classes(at_joint: Begin) -> None:
    sets, real_labels = real_sets(at_joint)
    labels = torch.zeros(400, dtype=torch.int64)
    pairs = pair(torch.zeros(400, 1), labels, sets, "any", stream(0, "pairing"))
    assert bool(sets.hard[pairs.hard].all() and sets.easy[pairs.easy].all())
    assert len(real_labels[pairs.hard].unique()) == 10
    assert set(pairs.hard.tolist()) == set(sets.hard.nonzero().squeeze(1).tolist())


def test_a_pool_is_drawn_from_evenly_and_never_left() -> None:
    pools = ClassPools.of([torch.tensor([7, 8, 9]), torch.tensor([], dtype=torch.int64)])
    labels = torch.zeros(3000, dtype=torch.int64)
    drawn = pools.draw(labels, uniform((3000,), stream(0, "pairing")))
    counts = torch.bincount(drawn, minlength=10)
    assert counts[:7].sum().item() == 0
    assert counts[7:].min().item() > 900
    edges = torch.tensor([0.0, 1 - 2**-24])
    assert pools.draw(torch.zeros(2, dtype=torch.int64), edges).tolist() == [7, 9]
    assert pools.draw(torch.ones(2, dtype=torch.int64), edges).tolist() == [0, 0]
