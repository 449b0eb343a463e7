"""Hard and easy: every rule by scores made by hand, the guard, and a real classifier."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from distill_tune.distill import hardness
from distill_tune.distill.compute.device_data import ClassPools, DeviceData
from distill_tune.distill.compute.random_streams import stream
from distill_tune.distill.hardness import HardSets, label, median_distance, turnover
from distill_tune.distill.pairing import pair
from distill_tune.interfaces import Split
from tests.distill.conftest import Begin
from tests.distill.tiny import config

Label = Callable[..., HardSets]
RULES = ("quantile", "confidence", "misclassified")


def places(chosen: Tensor) -> list[int]:
    return [int(index) for index in chosen.nonzero().squeeze(1)]


def device_data(sizes: list[int]) -> DeviceData:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    split = Split(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels)
    pools = ClassPools.of([(labels == number).nonzero().squeeze(1) for number in range(len(sizes))])
    return DeviceData(split, split, len(sizes), flip=False, by_class=pools)


@pytest.fixture
def label_by_hand(monkeypatch: pytest.MonkeyPatch, at_joint: Begin) -> Label:
    """Return LABEL for scores and probabilities of the true class that the caller makes up.

    An image whose true class has less than one half is taken to be misclassified.
    """
    classifier = at_joint().state.snapshot

    def by_hand(
        sizes: list[int], scores: Tensor, true_class: Tensor | None = None, **joint: Any
    ) -> HardSets:
        data = device_data(sizes)
        labels = data.train.labels
        likely = torch.ones(len(labels)) if true_class is None else true_class
        probabilities = torch.zeros(len(labels), len(sizes) + 1)
        probabilities[torch.arange(len(labels)), labels] = likely
        probabilities[:, -1] = 1 - likely
        features = torch.stack([scores.float(), labels.float()], dim=1)
        monkeypatch.setattr(hardness, "score", lambda *_: (scores.float(), probabilities))
        monkeypatch.setattr(hardness, "features_and_logits", lambda *_: (features, features))
        return label(classifier, data, config(joint=joint), 0)

    return by_hand


def test_quantile_trims_the_top_takes_the_next_share_and_calls_the_lower_half_easy(
    label_by_hand: Label,
) -> None:
    ranks = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    sets = label_by_hand([100], 100 - ranks, hard_threshold=0.3)
    assert sorted(ranks[sets.hard].tolist()) == list(range(2, 32))
    assert sorted(ranks[sets.easy].tolist()) == list(range(50, 100))
    assert sets.num_clamped == 0


def test_quantile_is_balanced_however_much_harder_one_class_is(label_by_hand: Label) -> None:
    scores = torch.cat([torch.arange(50) + 1000.0, torch.arange(50), torch.arange(50) / 1e4])
    sets = label_by_hand([50, 50, 50], scores, hard_threshold=0.2)
    assert sets.hard.view(3, 50).sum(1).tolist() == [10, 10, 10]
    assert sets.hard_pools.counts.tolist() == [10, 10, 10]


def test_quantile_does_not_notice_the_scale_of_scores(label_by_hand: Label) -> None:
    scores = torch.rand(60, generator=torch.Generator().manual_seed(1))
    ones = [label_by_hand([30, 30], scores * factor) for factor in (1e-6, 1.0, 1e6)]
    assert torch.equal(ones[0].hard, ones[1].hard)
    assert torch.equal(ones[1].hard, ones[2].hard)


def test_where_the_share_reaches_into_the_lower_half_hard_wins(label_by_hand: Label) -> None:
    sets = label_by_hand([100], 100 - torch.arange(100), hard_threshold=0.55)
    assert places(sets.hard) == list(range(2, 57))
    assert places(sets.easy) == list(range(57, 100))


def test_confidence_looks_at_the_probability_of_the_true_class(label_by_hand: Label) -> None:
    likely = torch.cat([torch.full((9,), 0.39), torch.full((11,), 0.41)])
    sets = label_by_hand([20], -likely, likely, hard_rule="confidence", hard_threshold=0.4)
    assert places(sets.hard) == list(range(9))
    assert places(sets.easy) == list(range(9, 20))
    assert sets.num_clamped == 0


def test_misclassified_takes_what_another_class_wins(label_by_hand: Label) -> None:
    likely = torch.cat([torch.full((10,), 0.49), torch.full((10,), 0.51)])
    sets = label_by_hand([20], -likely, likely, hard_rule="misclassified", hard_threshold=0.1)
    assert places(sets.hard) == list(range(10))
    assert places(sets.easy) == list(range(10, 20))


def test_the_guard_fills_a_class_up_by_rank_below_the_trimmed_top(label_by_hand: Label) -> None:
    scores = 100 - torch.arange(100)
    sets = label_by_hand([100], scores, torch.ones(100), hard_rule="misclassified")
    assert places(sets.hard) == list(range(2, 10))
    assert places(sets.easy) == list(range(10, 100))
    assert sets.num_clamped == 1


def test_the_guard_asks_for_five_percent_of_a_large_class(label_by_hand: Label) -> None:
    sets = label_by_hand([200], 200 - torch.arange(200), hard_rule="misclassified")
    assert places(sets.hard) == list(range(4, 14))


def test_the_guard_keeps_the_hardest_of_too_many(label_by_hand: Label) -> None:
    likely = torch.cat([torch.full((18,), 0.1), torch.full((2,), 0.9)])
    scores = torch.cat([torch.arange(18), torch.tensor([100, 101])])
    sets = label_by_hand([20], scores, likely, hard_rule="misclassified")
    assert places(sets.hard) == list(range(6, 18))
    assert places(sets.easy) == [18, 19]
    assert sets.num_clamped == 1


def test_a_class_all_wrong_still_has_easy_images(label_by_hand: Label) -> None:
    sets = label_by_hand([20], torch.arange(20), torch.zeros(20), hard_rule="misclassified")
    assert places(sets.hard) == list(range(8, 20))
    assert places(sets.easy) == list(range(4))


def test_the_least_number_of_hard_images_is_a_field(label_by_hand: Label) -> None:
    sets = label_by_hand([20], 20 - torch.arange(20), hard_rule="misclassified", min_hard=3)
    assert places(sets.hard) == [0, 1, 2]


@pytest.mark.parametrize("pairing", ["assign", "contrast", "class"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sizes", [[8] * 4, [10] * 4, [13] * 4, [14] * 4, [1, 2, 3, 5, 30]])
def test_every_hard_target_is_of_its_own_class_however_small(
    label_by_hand: Label, sizes: list[int], rule: str, pairing: Any
) -> None:
    likely = torch.rand(sum(sizes), generator=torch.Generator().manual_seed(2))
    sets = label_by_hand(sizes, -likely.log(), likely, hard_rule=rule)
    of_image = device_data(sizes).train.labels
    labels = torch.arange(len(sizes)).repeat(100)
    pairs = pair(torch.randn(len(labels), 2), labels, sets, pairing, stream(0, "pairing"))
    assert (of_image[pairs.hard] == labels).float().mean().item() == 1
    assert bool(sets.hard[pairs.hard].all())
    assert pairs.weights.tolist() == [1] * len(labels)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("size", "expected"), [(1, 1), (2, 1), (3, 1), (5, 3), (8, 4), (10, 6), (13, 7), (14, 8)]
)
def test_a_class_too_small_for_the_least_number_has_its_own_hardest_images(
    label_by_hand: Label, rule: str, size: int, expected: int
) -> None:
    scores = torch.cat([torch.arange(size), torch.full((20,), 100.0)])
    sets = label_by_hand([size, 20], scores, torch.ones(size + 20), hard_rule=rule)
    assert places(sets.hard[:size]) == list(range(size - expected, size))
    assert sets.hard_pools.indices[0, : sets.hard_pools.counts[0]].tolist() == places(
        sets.hard[:size]
    )
    assert bool(sets.easy[:size].any()) == (size > 1)


def test_a_class_of_one_image_is_set_against_easy_images_of_others(label_by_hand: Label) -> None:
    sets = label_by_hand([1, 20], torch.arange(21))
    assert sets.hard_pools.counts.tolist() == [1, 8]
    assert sets.easy_pools.indices[0].tolist() == places(sets.easy)


def test_a_class_without_images_draws_from_everyones(label_by_hand: Label) -> None:
    sets = label_by_hand([0, 20], torch.arange(20))
    assert sets.hard_pools.counts.tolist() == [8, 8]
    assert sets.hard_pools.indices[0].tolist() == places(sets.hard)


@pytest.mark.parametrize("pairing", ["assign", "contrast", "class", "any"])
def test_nothing_easy_at_all_gives_every_triplet_the_weight_zero(
    label_by_hand: Label, pairing: Any
) -> None:
    sets = label_by_hand([1, 1], torch.arange(2), hard_rule="misclassified")
    assert places(sets.hard) == [0, 1]
    assert places(sets.easy) == []
    assert sets.scale == 1
    anchors, labels = torch.randn(10, 2), torch.arange(10) % 2
    pairs = pair(anchors, labels, sets, pairing, stream(0, "pairing"))
    assert pairs.weights.tolist() == [0] * 10
    assert pairs.easy.max().item() < 2


@pytest.mark.parametrize("rule", RULES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    threshold=st.floats(0.01, 0.99),
    draw=st.tuples(st.integers(0, 2**31), st.sampled_from([0.05, 1.0, 20.0])),
)
def test_hard_and_easy_are_disjoint_and_within_bounds_under_any_rule(
    label_by_hand: Label,
    rule: str,
    sizes: list[int],
    threshold: float,
    draw: tuple[int, float],
) -> None:
    seed, power = draw
    likely = torch.rand(sum(sizes), generator=torch.Generator().manual_seed(seed)) ** power
    sets = label_by_hand(sizes, -likely.log(), likely, hard_rule=rule, hard_threshold=threshold)
    assert not bool((sets.hard & sets.easy).any())
    for size, hard, easy in zip(sizes, sets.hard.split(sizes), sets.easy.split(sizes), strict=True):
        greatest = max(1, int(0.6 * size))
        assert min(max(8, round(0.05 * size)), greatest) <= hard.sum().item() <= greatest
        assert easy.sum().item() >= min(1, size - 1)


def test_the_scale_is_the_median_over_classes_of_hard_to_easy_distances() -> None:
    features = torch.tensor([[0.0], [2.0], [0.0], [6.0], [0.0], [100.0]])
    hard = torch.tensor([True, False] * 3)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert median_distance(features, hard, ~hard, labels) == 6
    assert median_distance(features, hard, torch.zeros_like(hard), labels) == 1
    assert median_distance(torch.zeros(6, 1), hard, ~hard, labels) > 0


def test_the_scale_of_close_features_far_from_the_origin_is_exact() -> None:
    hard = torch.full((40, 64), 100.0)
    easy = hard + 1e-3
    features, is_hard = torch.cat([hard, easy]), torch.arange(80) < 40
    exact = torch.dist(features[0].double(), features[40].double()).item()
    measured = median_distance(features, is_hard, ~is_hard, torch.zeros(80))
    assert measured == pytest.approx(exact, rel=1e-4)


def test_turnover_is_one_minus_the_jaccard_index(label_by_hand: Label) -> None:
    scores = 20 - torch.arange(20)
    before = label_by_hand([20], scores, min_hard=1, hard_threshold=0.2)
    now = label_by_hand([20], scores.roll(2), min_hard=1, hard_threshold=0.2)
    assert places(before.hard) == [0, 1, 2, 3]
    assert places(now.hard) == [2, 3, 4, 5]
    assert turnover(before, now) == pytest.approx(1 - 2 / 6)
    assert turnover(before, before) == 0
    nothing = replace(before, hard=torch.zeros(20, dtype=torch.bool))
    assert turnover(nothing, nothing) == 0
