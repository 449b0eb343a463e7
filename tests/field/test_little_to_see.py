"""Images with little in them, or of several depths: named before anything is trained."""

from pathlib import Path

import numpy as np
import pytest

from distill_tune.datasets import unsealed
from tests.field.images import CLASSES, LABELS, Array, folder, mean, noise, npz, source, write_files


def test_parts_of_another_type_keep_their_own_scale(tmp_path: Path) -> None:
    bytes_ = noise(40, 255).round().astype(np.uint8)
    parts = {"x_train": bytes_ / 255, "x_test": bytes_, "y_train": LABELS, "y_test": LABELS}
    data = source(kind="npz", root=str(npz(tmp_path / "a.npz", **parts)))
    assert mean(data.load()) == pytest.approx(127.5, abs=5)
    with unsealed():
        np.testing.assert_array_equal(data.load_test().images[:, 0].numpy(), bytes_)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_classes_of_another_depth_are_named(suffix: str, tmp_path: Path) -> None:
    deep = noise(20, 65535).round().astype(np.uint16)
    data = folder(tmp_path, lambda n: deep if n else (deep // 257).astype(np.uint8), suffix)
    assert [mean(data, label) for label in (0, 1)] == pytest.approx([127.5] * 2, abs=5)
    assert len(data.warnings) == 1
    assert "100% of the files of class 'bee' have more than 8 bits" in data.warnings[0]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((40, 8, 8), 9, np.uint8), "every training image is of one colour: level 9 of 256"),
        (np.arange(40)[:, None, None] * np.ones((1, 8, 8)), "every training image is of one col"),
        (noise(40, 16).round(), "use 17 of 256 levels (0..16); data.value_range: [0, 16] would"),
        (noise(40, 40).round().astype(np.uint8), "use 41 of 256 levels (0..40)"),
        (np.where(noise(40, 9) > 8.99, 4e4, noise(40, 9)).astype(np.uint16), "nearly of one colo"),
    ],
    ids=["black", "planes", "digits of scikit-learn", "dark", "defect pixels"],
)
def test_images_with_little_in_them_are_named(images: Array, message: str, tmp_path: Path) -> None:
    data = source(kind="npz", root=str(npz(tmp_path / "a.npz", x=images, y=LABELS))).load()
    assert any(message in text for text in data.warnings), data.warnings


def test_masks_and_full_images_are_not_named(tmp_path: Path) -> None:
    for images in (noise(40, 1) > 0.5, (noise(40, 1) > 0.5) * np.uint8(255), noise(40, 1)):
        data = source(kind="npz", root=str(npz(tmp_path / "a.npz", x=images, y=LABELS))).load()
        assert mean(data) == pytest.approx(127.5, abs=9)
        assert not [text for text in data.warnings if "levels" in text or "colour" in text]


def test_colour_files_of_eight_bits_take_a_given_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        write_files(tmp_path / name, rng.integers(0, 64, (10, 8, 8, 3), dtype=np.uint8))
    values = {"kind": "folder", "root": str(tmp_path), "image_size": 8}
    assert mean(source(**values).load()) == pytest.approx(31.5, abs=2)
    assert mean(source(**values, value_range=(0, 63)).load()) == pytest.approx(127.5, abs=8)
    # No 8 bits reach so far: a range of deeper files leaves these alone.
    assert mean(source(**values, value_range=(0, 4095)).load()) == pytest.approx(31.5, abs=2)
