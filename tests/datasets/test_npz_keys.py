"""Names of arrays in a file: every spelling of the parts, and what is said of doubtful ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill_tune.datasets import ImageSource
from distill_tune.errors import InputError

Save = Callable[..., ImageSource]
COLOR = np.random.default_rng(0).integers(2, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.repeat([0, 1], 10)


@pytest.fixture
def saved(tmp_path: Path, make: Callable[..., ImageSource]) -> Save:
    def save(**arrays: Any) -> ImageSource:
        np.savez(tmp_path / "set.npz", **arrays)
        return make(kind="npz", root=str(tmp_path / "set.npz"))

    return save


@pytest.mark.parametrize(
    ("images", "labels", "val"),
    [
        ("{}_images", "{}_labels", "val"),
        ("X_{}", "y_{}", "valid"),
        ("X_{}", "Y_{}", "Validation"),
        ("images_{}", "Labels_{}", "val"),
        ("{}_x", "{}_y", "valid"),
    ],
)
def test_parts_are_found_in_every_usual_spelling(
    images: str, labels: str, val: str, saved: Save
) -> None:
    slices = {"train": slice(5, 15), val: slice(0, 20, 5), "test": slice(1, 20, 5)}
    arrays = {images.format(part): COLOR[some] for part, some in slices.items()}
    arrays |= {labels.format(part): LABELS[some, None] for part, some in slices.items()}
    source = saved(**arrays)
    assert source.parts() == {"train", "val", "test"}
    data = source.load()
    assert [len(data.train.labels), len(data.val.labels)] == [10, 4]
    assert not [text for text in data.warnings if "not read" in text]
    np.testing.assert_array_equal(source.load_test().images, COLOR[1::5].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("images", "labels"), [("X", "Y"), ("Images", "labels")])
def test_a_pool_may_be_in_upper_case(images: str, labels: str, saved: Save) -> None:
    assert len(saved(**{images: COLOR, labels: LABELS}).load().train.labels) == 12


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": COLOR}, "got the keys train_images without train_labels, expected"),
        (
            {"x": COLOR, "y": LABELS, "images": COLOR, "labels": LABELS},
            "got x and images, which each hold images of train, expected one of them",
        ),
        (
            {"x_train": COLOR, "y_train": LABELS, "train_images": COLOR, "train_labels": LABELS},
            "got x_train and train_images, which each hold images of train, expected one of them",
        ),
        (
            {"x_train": COLOR, "y_train": LABELS, "Y_train": LABELS},
            "got y_train and Y_train, which each hold labels of train, expected one of them",
        ),
        (
            {"train_images": COLOR.astype(object), "train_labels": LABELS},
            "got train_images of type object, expected one array of numbers",
        ),
        (
            {"X_train": COLOR, "Y_train": LABELS.astype(object)},
            "again as Y_train=numpy.asarray(Y_train).astype(str)",
        ),
    ],
)
def test_doubtful_names_are_refused(arrays: dict[str, Any], message: str, saved: Save) -> None:
    with pytest.raises(InputError) as caught:
        saved(**arrays).load()
    assert message in str(caught.value)


def test_a_single_array_in_another_spelling_is_not_read(saved: Save) -> None:
    (warning, *_) = saved(X_train=COLOR, y_train=LABELS, images=COLOR).check_parts()
    assert warning.startswith("not read: images (expected x_train and y_train")


@pytest.mark.parametrize("value", [{"license": "MIT"}, [np.zeros(2), np.zeros(3)]])
def test_an_array_of_objects_beside_the_images_is_left_alone(value: Any, saved: Save) -> None:
    extra = np.empty(1, dtype=object)
    extra[0] = value
    source = saved(x_train=COLOR, y_train=LABELS, meta=extra)
    assert not [text for text in source.check_parts() if "meta" in text]
    assert len(source.load().train.labels) == 12
