"""The draw: stratified, disjoint, nested, the same everywhere, and refused in words."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_tune.datasets import ImageSource
from distill_tune.datasets.digits import Digits
from distill_tune.datasets.image_pool import Pool
from distill_tune.datasets.split_images import digest
from distill_tune.datasets.splits import Draw, Share, SplitSizes, draw
from distill_tune.errors import InputError
from distill_tune.interfaces import Split

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]


def pool_of(counts: list[int], seed: int = 0) -> Pool:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.zeros((len(labels), 1, 1, 1), dtype=np.uint8)
    return Pool(images, labels.astype(np.int64), tuple(f"c{n}" for n in range(len(counts))))


def drawn(pool: Pool, train: int | None = None, val: int | None = None, seed: int = 0) -> Draw:
    wanted = SplitSizes(test=Share(0.2), val=Share(0.2, val), train_per_class=train)
    return draw(pool, wanted, seed=seed, subset_seed=seed, where="data.root")


@given(st.lists(st.integers(4, 60), min_size=2, max_size=5), st.integers(0, 9))
def test_a_draw_uses_every_image_once_and_keeps_the_shares_of_each_class(
    counts: list[int], seed: int
) -> None:
    pool = pool_of(counts)
    result = drawn(pool, seed=seed)
    assert sorted(np.concatenate(result).tolist()) == list(range(sum(counts)))
    for label, count in enumerate(counts):
        sizes = [int((pool.labels[part] == label).sum()) for part in result]
        share = max(1, int(count * 0.2 + 0.5))
        assert sizes == [count - 2 * share, share, share]


def test_fewer_training_images_are_among_the_more_and_move_no_other_split() -> None:
    pool = pool_of([50, 40, 30])
    few, more, every = drawn(pool, 5), drawn(pool, 10), drawn(pool)
    assert set(few.train) < set(more.train) < set(every.train)
    for other in (few, more):
        np.testing.assert_array_equal(other.val, every.val)
        np.testing.assert_array_equal(other.test, every.test)


def test_more_validation_images_leave_a_small_training_set_as_it_was() -> None:
    pool = pool_of([50, 40, 30])
    few, more = drawn(pool, 5, val=3), drawn(pool, 5, val=9)
    assert set(few.val) < set(more.val)
    np.testing.assert_array_equal(few.train, more.train)
    np.testing.assert_array_equal(few.test, more.test)


def test_the_draw_of_a_seed_is_written_in_stone() -> None:
    result = drawn(pool_of([6, 6]), seed=7)
    assert (result.val.tolist(), result.test.tolist()) == ([0, 4], [8, 11])
    other = drawn(pool_of([6, 6]), seed=8)
    assert (other.val.tolist(), other.test.tolist()) != ([0, 4], [8, 11])


@given(st.lists(st.integers(6, 40), min_size=2, max_size=4), st.integers(0, 50), st.integers(1, 50))
def test_a_redraw_keeps_the_test_images_and_the_shares_of_each_class(
    counts: list[int], seed: int, other: int
) -> None:
    pool, wanted = pool_of(counts), SplitSizes(Share(0.2), Share(0.2), 2)
    own = draw(pool, wanted, seed=seed, subset_seed=seed, where="data.root")
    redrawn = draw(pool, wanted, seed=seed, subset_seed=other, where="data.root")
    np.testing.assert_array_equal(redrawn.test, own.test)
    assert not set(redrawn.test) & {*redrawn.train, *redrawn.val}
    assert not set(redrawn.train) & set(redrawn.val)
    for before, after in zip(own, redrawn, strict=True):
        np.testing.assert_array_equal(
            np.bincount(pool.labels[before]), np.bincount(pool.labels[after])
        )


def test_redrawn_digits_differ_from_seed_to_seed_and_never_hold_a_test_image(make: Make) -> None:
    source = make(kind="digits", train_per_class=10, val_per_class=20, test_fraction=0.5, seed=3)

    def pixels(images: torch.Tensor) -> list[bytes]:
        return [image.numpy().tobytes() for image in images]

    test = set(pixels(source.load_test().images))
    pools = source.read_pools()
    draws = [source.load(), *(source.redrawn(seed).load(pools) for seed in range(1000, 1010))]
    trained = [frozenset(pixels(images.train.images)) for images in draws]
    assert len(set(trained)) == len({images.digest for images in draws}) == 11
    for images in draws:
        assert images.train.labels.bincount().tolist() == [10] * 10
        assert not test & {*pixels(images.train.images), *pixels(images.val.images)}
    # Together they come to many more images than one draw has, out of all that are no test images.
    assert len(frozenset().union(*trained)) > 500
    again = source.redrawn(1004)
    assert again.load().digest == draws[5].digest
    assert torch.equal(again.load_test().images, source.load_test().images)


def test_parts_of_their_own_are_redrawn_only_where_fewer_are_taken(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    for part in ("train", "val", "test"):
        photo_folder(tmp_path / part, {"ant": 9, "bee": 9})
    values = {"kind": "folder", "root": str(tmp_path), "image_size": 8}
    whole, some = make(**values), make(**values, train_per_class=3, val_per_class=3)
    assert whole.redrawn(5).load().digest == whole.load().digest
    before, after = some.load(), some.redrawn(5).load()
    assert not torch.equal(before.train.images, after.train.images)
    assert not torch.equal(before.val.images, after.val.images)
    assert torch.equal(some.redrawn(5).load_test().images, whole.load_test().images)


@pytest.mark.parametrize(
    ("counts", "values", "got", "expected"),
    [
        (
            {"ant": 9, "bee": 2},
            {},
            "data.root: got 2 images of class 'bee'",
            "at least 3 in every class: 1 for training + 1 for validation + 1 for testing",
        ),
        (
            {"ant": 9, "bee": 1, "cat": 0},
            {"test_fraction": 0.0},
            "data.root: got 0 images of class 'cat', 1 image of class 'bee'",
            "at least 3 in every class: 2 for training + 1 for validation",
        ),
        (
            {"ant": 20, "bee": 10},
            {"train_per_class": 8},
            "data.train_per_class: got 10 images of class 'bee'",
            """at least 12 in every class: 8 for training + 2 for validation + 2 for testing; \
these images allow train_per_class 6""",
        ),
        (
            {"ant": 20, "bee": 10},
            {"val_per_class": 9},
            "data.val_per_class: got 10 images of class 'bee'",
            "at least 14 in every class: 2 for training + 9 for validation + 3 for testing",
        ),
        (
            {"ant": 30, "bee": 10},
            {"train_per_class": {"ant": 12, "bee": 8}},
            "data.train_per_class: got 10 images of class 'bee'",
            """at least 12 in class 'bee': 8 for training + 2 for validation + 2 for testing; \
these images allow 6""",
        ),
        (
            {"ant": 30, "bee": 20},
            {"train_per_class": {"ant": 12, "be": 8}},
            "data.train_per_class: got numbers for unknown classes: 'be'",
            "one for each class of the data, 'ant', 'bee'. Did you mean 'bee'?",
        ),
        (
            {"ant": 30, "bee": 20},
            {"train_per_class": {"ant": 12}},
            "data.train_per_class: got no number for classes: 'bee'",
            "one for each class of the data, 'ant', 'bee'",
        ),
        (
            {"ant": 30, "bee": 20},
            {"train_per_class": {"head": 12, "tail": 4}},
            "data.train_per_class: got numbers for unknown classes: 'head', 'tail'",
            """one for each class of the data, 'ant', 'bee'; a long tail needs a shape too: \
exponential or linear""",
        ),
        ({"ant": 9}, {}, "data.root: got one class only: 'ant'", "two classes or more"),
        ({"ant": 0, "bee": 0}, {}, "data.root: got no image in train", "images"),
    ],
)
def test_a_class_with_too_few_images_is_named_with_what_it_needs(  # noqa: PLR0917
    counts: dict[str, int],
    values: dict[str, Any],
    got: str,
    expected: str,
    tmp_path: Path,
    photo_folder: PhotoFolder,
    make: Make,
) -> None:
    source = make(kind="folder", root=str(photo_folder(tmp_path, counts)), image_size=8, **values)
    with pytest.raises(InputError) as caught:
        source.load()
    assert str(caught.value) == f"{got}, expected {expected}"


def test_asking_for_more_digits_than_there_are_blames_the_number_asked(make: Make) -> None:
    with pytest.raises(InputError, match=r"^data\.train_per_class: .*class '8'.*allow train_per"):
        make(kind="digits", train_per_class=150).load()


def test_a_validation_part_of_the_source_needs_the_number_asked_and_may_lack_a_class(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path / "train", {"ant": 5, "bee": 5})
    photo_folder(tmp_path / "val", {"ant": 3, "bee": 2})
    photo_folder(tmp_path / "test", {"ant": 1, "bee": 1})
    values = {"kind": "folder", "root": str(tmp_path), "image_size": 8}
    assert len(make(**values, val_per_class=2).load().val.labels) == 4
    with pytest.raises(InputError, match=r"data\.val_per_class: got 2 images of class 'bee'"):
        make(**values, val_per_class=3).load()
    for file in (tmp_path / "val" / "bee").iterdir():
        file.unlink()
    images = make(**values).load()
    assert images.val.labels.unique().tolist() == [0]
    expected = "val has no image of class 'bee': metrics are over the other classes"
    assert [text for text in images.warnings if "no image" in text] == [expected]


def test_without_a_share_for_testing_there_is_no_test_split(make: Make) -> None:
    source = make(kind="digits", test_fraction=0.0)
    assert len(source.load().train.labels) + len(source.load().val.labels) == 1797
    with pytest.raises(InputError, match=r"data\.test_fraction: got 0\.0"):
        source.load_test()


def test_the_digest_changes_with_a_pixel_a_label_and_a_name() -> None:
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    first = digest(("a", "b"), Split(images, labels))
    changed = images.clone()
    changed[1, 0, 3, 3] = 1
    others = {
        digest(("a", "b"), Split(changed, labels)),
        digest(("a", "b"), Split(images, labels.flip(0))),
        digest(("a", "c"), Split(images, labels)),
        digest(("a", "b"), Split(images.reshape(2, 1, 2, 8), labels)),
    }
    assert first == digest(("a", "b"), Split(images.clone(), labels.clone()))
    assert len(others - {first}) == 4


def test_embedded_digits_keep_their_pixels_and_their_scale(make: Make) -> None:
    from sklearn.datasets import load_digits

    digits = make(kind="digits").load()
    assert (digits.image_size, digits.channels, digits.num_classes) == (8, 1, 10)
    assert int(digits.train.images.max()) == 255
    originals = {
        np.round(image * 255 / 16).astype(np.uint8).tobytes() for image in load_digits().images
    }
    assert all(image.numpy().tobytes() in originals for image in digits.train.images)


def test_digits_are_those_of_scikit_learn_without_its_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    images, found = Digits(kind="digits").arrays()
    assert (found == labels).all()
    assert (images == np.round(pixels.reshape(-1, 1, 8, 8) * 255 / 16)).all()


def test_mnist5k_holds_500_of_each_digit_and_shrinks_without_aliasing(make: Make) -> None:
    data = make(kind="mnist5k", train_per_class=7).load()
    assert data.train.labels.bincount().tolist() == [7] * 10
    assert data.val.labels.bincount().tolist() == [100] * 10
    small = make(kind="mnist5k", train_per_class=7, image_size=14).load()
    means = data.train.images.float().mean(), small.train.images.float().mean()
    assert small.image_size == 14
    assert abs(float(means[0] - means[1])) < 2
    # Antialiased strokes are greyer than every second pixel would be.
    assert small.train.images.float().std() < data.train.images[..., ::2, ::2].float().std()


def test_colour_is_added_or_taken_away_when_asked(make: Make) -> None:
    grey = make(kind="digits").load()
    colored = make(kind="digits", color="rgb").load()
    assert colored.channels == 3
    assert torch.equal(colored.train.images[:, 1:2], grey.train.images)
