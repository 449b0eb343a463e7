"""Training images by class: a number for each, a long tail, drawn anew with every seed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.datasets import ImageSource
from distill_tune.datasets.train_part.train_counts import LongTail, counts_of
from distill_tune.errors import InputError
from distill_tune.interfaces import Split, plain
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml
from distill_tune.tuning.opening_lines import image_lines

Make = Callable[..., ImageSource]
TAIL = {"head": 40, "tail": 5, "shape": "exponential"}
DIGITS = tuple("0123456789")
FIVE_RARE = dict.fromkeys(DIGITS, 40) | dict.fromkeys(DIGITS[5:], 5)


def pixels(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("exponential", [100, 46, 22, 10]), ("linear", [100, 70, 40, 10])],
)
def test_a_tail_falls_from_head_to_tail(shape: str, expected: list[int]) -> None:
    tail = LongTail.model_validate({"head": 100, "tail": 10, "shape": shape})
    assert tail.of([500, 500, 500, 500]) == expected
    # The class with most images is the head, whatever its name; of two equal ones, the first.
    assert tail.of([130, 350, 130, 300]) == [expected[2], expected[0], expected[3], expected[1]]


@given(
    st.lists(st.integers(2, 500), min_size=2, max_size=12),
    st.integers(2, 200),
    st.integers(2, 200),
    st.sampled_from(["exponential", "linear"]),
)
def test_a_rarer_class_never_gets_more(
    available: list[int], one: int, other: int, shape: str
) -> None:
    head, tail = max(one, other), min(one, other)
    counts = LongTail.model_validate({"head": head, "tail": tail, "shape": shape}).of(available)
    assert (max(counts), min(counts)) == (head, tail)
    ranked = sorted(zip(available, counts, strict=True), key=lambda pair: -pair[0])
    assert [count for _, count in ranked] == sorted(counts, reverse=True)


def test_one_number_is_the_same_mapping_of_all_classes() -> None:
    classes, available = ("ant", "bee"), [30, 20]
    assert counts_of(7, classes, available) == [7, 7]
    assert counts_of({"bee": 3, "ant": 9}, classes, available) == [9, 3]
    assert counts_of(None, classes, available) is None


def test_equal_numbers_draw_the_images_of_one_number(make: Make) -> None:
    values: dict[str, Any] = {"kind": "digits", "val_per_class": 20, "seed": 4}
    one = make(**values, train_per_class=10).load()
    each = make(**values, train_per_class=dict.fromkeys(DIGITS, 10)).load()
    assert one.digest == each.digest


def test_uneven_classes_move_neither_validation_nor_test_images(make: Make) -> None:
    values: dict[str, Any] = {"kind": "digits", "val_per_class": 20, "test_fraction": 0.4}
    even, uneven = make(**values), make(**values, train_per_class=FIVE_RARE)
    images = uneven.load()
    assert images.train_counts() == [40] * 5 + [5] * 5
    assert torch.equal(images.val.images, even.load().val.images)
    assert torch.equal(uneven.load_test().images, even.load_test().images)
    held_out = pixels(images.val) | pixels(uneven.load_test())
    assert not pixels(images.train) & held_out


def test_a_long_tail_is_drawn_anew_with_every_seed(make: Make) -> None:
    source = make(kind="digits", train_per_class=TAIL, val_per_class=20, test_fraction=0.4)
    pools = source.read_pools()
    draws = [source.load(), *(source.redrawn(seed).load(pools) for seed in range(1000, 1004))]
    counts = [images.train_counts() for images in draws]
    # Of digits, class 3 has most images and class 8 fewest.
    assert (counts[0][3], counts[0][8]) == (40, 5)
    assert counts == [counts[0]] * 5
    assert len({images.digest for images in draws}) == 5
    test = pixels(source.load_test())
    for images in draws:
        assert not test & (pixels(images.train) | pixels(images.val))


def test_a_search_lists_the_sizes_of_uneven_classes(make: Make) -> None:
    uneven = make(kind="digits", train_per_class={**FIVE_RARE, "7": 20}).load()
    (line,) = image_lines(uneven, "val/accuracy")
    sizes = "0 40, 1 40, 2 40, 3 40, 4 40, 7 20, 5 5, 6 5, 8 5, 9 5"
    assert line == f"training images of each class: {sizes}"
    graded = list(image_lines(uneven, "val/kappa"))
    assert graded[1].startswith("val/kappa takes the classes for grades in this order: 0 < 1 < 2")
    # All digits: 105 to 111 of each class.
    assert list(image_lines(make(kind="digits").load(), "val/accuracy")) == []


BEFORE = """\
study: small
data: {kind: digits, train_per_class: @, val_per_class: 20}
backbones: [resnet18]
space: {joint.margin: "uniform(0.1, 0.5)"}
"""


def study_of(counts: str) -> Study:
    return parse(Study, read_yaml_text(BEFORE.replace("@", counts), "small.yaml"))


@pytest.mark.parametrize(
    "counts", ["20", "null", "{0: 40, 1: 5}", "{head: 40, tail: 5, shape: linear}"]
)
def test_a_study_written_out_keeps_its_counts(counts: str) -> None:
    made = study_of(counts)
    again = parse(Study, read_yaml_text(to_yaml(plain(made)), "study.yaml"))
    assert again == made
    assert made.trial_config("resnet18", {}).data == made.data


FORMS = (
    "a whole number >= 2, one for each class such as {cat: 100, dog: 10}, or a long tail such as "
    "{head: 100, tail: 10, shape: exponential}"
)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("1", f"small.yaml:2:39: data.train_per_class: got 1, expected {FORMS}"),
        ("few", f"small.yaml:2:39: data.train_per_class: got 'few', expected {FORMS}"),
        ("true", f"small.yaml:2:39: data.train_per_class: got true, expected {FORMS}"),
        ("{}", f"small.yaml:2:39: data.train_per_class: got {{}} (a mapping), expected {FORMS}"),
        (
            "{0: 40, 1: 1}",
            "small.yaml:2:50: data.train_per_class.1: got 1, expected a whole number >= 2",
        ),
        (
            "{head: 40, shape: linear}",
            "small.yaml:2:39: data.train_per_class.tail: got nothing, expected a whole number >= 2",
        ),
        (
            "{head: 40, tail: 50, shape: linear}",
            """small.yaml:2:56: data.train_per_class.tail: got 50, \
expected at most head, which is 40""",
        ),
        (
            "{head: 40, tail: 5, shape: lineal}",
            """small.yaml:2:66: data.train_per_class.shape: got 'lineal', \
expected exponential or linear. Did you mean 'linear'?""",
        ),
        (
            "{heads: 40, tail: 5, shape: linear}",
            """small.yaml:2:47: data.train_per_class.heads: got 'heads', \
expected one of the keys head, tail, shape of a long tail. Did you mean 'head'?""",
        ),
    ],
)
def test_counts_that_mean_nothing_are_refused_where_they_stand(counts: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        study_of(counts)
    assert str(caught.value) == message
