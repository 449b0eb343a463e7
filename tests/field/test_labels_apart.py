"""Labels and ranges that may not be what was meant: told in a line, or refused with what helps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_tune.datasets import unsealed
from distill_tune.errors import InputError
from tests.field.images import CLASSES, LABELS, Array, noise, npz_data, source, whole


def test_bytes_of_0_and_1_beside_bytes_up_to_255_are_refused_at_once(tmp_path: Path) -> None:
    parts = {"x_train": noise(40, 255).astype(np.uint8), "x_test": (noise(40, 1) > 0.5) * 1}
    labels = {"y_train": LABELS, "y_test": LABELS}
    parts["x_test"] = parts["x_test"].astype(np.uint8)
    with pytest.raises(InputError, match=r"got x_test with values in 0\.\.1, but x_train with"):
        npz_data(tmp_path, **parts, **labels)
    given = source(kind="npz", root=str(tmp_path / "a.npz"), value_range=(0, 255))
    given.load()
    with unsealed():
        assert int(given.load_test().images.max()) == 1


def test_a_label_that_may_mean_none_and_classes_without_test_images_are_told(
    tmp_path: Path,
) -> None:
    x = noise(40, 255).astype(np.uint8)
    y = np.where(np.arange(40) < 6, -1, LABELS)
    told = npz_data(tmp_path, x_train=x, y_train=y, x_test=x, y_test=LABELS * 0).warnings
    assert told[0].startswith("the label -1 in y_train, of 6 images, is a class like the others;")
    assert told[1] == "test has no image of class '-1', '1'"
    assert npz_data(tmp_path, x=x, y=LABELS * 2 - 1).warnings == ()


@pytest.mark.parametrize("classes", [["01", "00"], ["1.0", "0.0"], [" 1", "0 "]])
def test_numbers_written_otherwise_are_as_ambiguous(classes: list[str], tmp_path: Path) -> None:
    x = noise(40, 255).astype(np.uint8)
    with pytest.raises(InputError, match="and labels that are both"):
        npz_data(tmp_path, x=x, y=LABELS, classes=classes)
    assert npz_data(tmp_path, x=x, y=LABELS, classes=["00", "01"]).classes == ("00", "01")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.where(LABELS, np.nan, 1.0), "got y with 20 labels that are NaN, expected a label"),
        (LABELS / 2, "got y of type float64, expected integers or text"),
        (LABELS * 1.0, "expected integers or text: y.astype(int)"),
    ],
)
def test_labels_that_are_fractions_get_the_line_that_helps(
    y: Array, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        npz_data(tmp_path, x=noise(40, 255).astype(np.uint8), y=y)
    assert str(caught.value).endswith(message) or "NaN" in message
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "value", [[0], [1, 0], [0, float("inf")], ["0", "1"], [True, 5], [0, 1e-320], "whole", 5]
)
def test_a_range_that_is_none_gets_one_line(value: object) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as caught:
        source(kind="npz", root="a.npz", value_range=value)
    (error,) = caught.value.errors()
    assert "expected auto, or [low, high]: two numbers" in error["msg"]


def test_half_precision_is_compared_without_overflow(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    images = noise(40, 255).round().astype(np.float16)
    images[0, 0, 0] = 65504
    npz_data(tmp_path, x=images, y=LABELS)
    assert [str(one.message) for one in recwarn if "overflow" in str(one.message)] == []


def test_a_range_that_ends_too_soon_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=whole(4095), y=LABELS)
    data = source(kind="npz", root=str(tmp_path / "a.npz"), value_range=(0, 255)).load()
    assert any("of the values of the training images are white" in one for one in data.warnings)


def test_other_names_of_arrays_are_told(tmp_path: Path) -> None:
    x = noise(40, 255).astype(np.uint8)
    more = {"test_images": x, "label_names": np.array(["a", "b"]), "photos": x, "id": LABELS}
    (told,) = npz_data(tmp_path, x=x, y=LABELS, class_names=np.array(["a", "b"]), **more).warnings
    assert told.startswith("not read: class_names, label_names, photos, test_images (expected ")


def test_transparent_pictures_and_masks_have_no_depth_of_their_own(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for number in range(6):
            shade = np.random.default_rng(number + 10 * len(name)).integers(0, 2, (8, 8)) * 255
            mode = "1" if name == "ant" else "LA"
            Image.fromarray(shade.astype(np.uint8)).convert(mode).save(
                tmp_path / name / f"{number}.png"
            )
    told = source(kind="folder", root=str(tmp_path), image_size=8).load().warnings
    assert not [text for text in told if "bits" in text]
