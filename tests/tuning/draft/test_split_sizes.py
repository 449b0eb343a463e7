"""Sizes of the splits: they are those that the data sets themselves draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.datasets.splits import Share, SplitSizes, draw
from distill_tune.tuning.draft.split_sizes import Splits, splits_of
from tests.tuning.draft.cases import facts, pool


@pytest.mark.parametrize(
    ("counts", "train", "val", "num_train"),
    [
        ((174,) * 10, 20, 40, 200),  # The digits, as in search_spaces/resnet.yaml.
        ((1200,) * 10, 20, 40, 200),
        ((500, 500), 20, 125, 40),
        ((100,) * 1000, 20, 10, 20_000),
        ((128, 328, 351), 20, 32, 60),
        ((30, 30), None, None, 36),  # Few: all of them are used.
        ((4, 5), None, None, 5),
        ((5, 1000), None, None, 603),  # A tiny class does not limit the others.
        ((20, 1000), 12, None, 24),
    ],
)
def test_as_many_of_each_class_as_the_smallest_allows(
    counts: tuple[int, ...], train: int | None, val: int | None, num_train: int
) -> None:
    found = splits_of(facts(*counts), 20, 400)
    assert (found.train_per_class, found.val_per_class, sum(found.train)) == (train, val, num_train)
    assert found.has_test


def test_three_images_of_a_class_leave_none_to_test_on() -> None:
    found = splits_of(facts(3, 3), 20, 400)
    assert not found.has_test
    assert found.train == (2, 2)
    assert splits_of(facts(3, 3, has_test=True), 20, 400).has_test


def test_separate_parts_leave_all_others_to_train_on() -> None:
    found = splits_of(facts(2, 9, val_counts=(1, 3), has_test=True), 20, 400)
    assert (sum(found.train), found.val_per_class) == (11, None)
    large = splits_of(facts(100, 100, val_counts=(300, 700), has_test=True), 20, 400)
    assert (sum(large.train), large.val_per_class) == (40, 200)


@given(
    counts=st.lists(st.integers(3, 3000), min_size=2, max_size=40),
    most_train=st.sampled_from([10, 20, 100, 500]),
    most_val=st.sampled_from([400, 2000]),
    has_test=st.booleans(),
)
def test_the_data_sets_draw_as_many(
    counts: list[int], most_train: int, most_val: int, has_test: bool
) -> None:
    found = splits_of(facts(*counts, has_test=has_test), most_train, most_val)
    assert drawn(counts, found, has_test=has_test) == list(found.train)


def drawn(counts: list[int], found: Splits, *, has_test: bool) -> list[int]:
    """Return the training images of each class as data sets draw them."""
    is_test_drawn = found.has_test and not has_test
    sizes = SplitSizes(
        test=Share(0.2 if is_test_drawn else 0.0),
        val=Share(0.2, found.val_per_class),
        train_per_class=found.train_per_class,
    )
    every = pool(*counts)
    chosen = draw(every, sizes, seed=0, subset_seed=0, where="data.root")
    return every.take(chosen.train).counts()
