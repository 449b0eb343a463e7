"""One scale for a whole set, whatever the depth of its files: found, told, kept, or refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from distill_tune.datasets import unsealed
from distill_tune.datasets.images.value_range import range_line
from distill_tune.errors import InputError
from tests.field.images import CLASSES, LABELS, Array, folder, mean, noise, npz, source, write_files


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("form", ["png", "tif", "float tif", "npz", "float npz"])
def test_any_depth_fills_the_levels(bits: int, form: str, tmp_path: Path) -> None:
    white = 2**bits - 1
    dtype = np.float32 if "float" in form else np.uint16
    if "npz" in form:
        path = npz(tmp_path / "a.npz", x=noise(40, white).round().astype(dtype), y=LABELS)
        data = source(kind="npz", root=str(path)).load()
    else:
        suffix = form.removeprefix("float ")
        data = folder(tmp_path, lambda n: noise(20, white, n).round().astype(dtype), suffix)
    assert mean(data) == pytest.approx(127.5, abs=5)
    assert data.warnings == ()
    assert range_line(data.value_ranges).startswith(f"values: 0..{white} (")


def test_a_weak_signal_is_named_with_the_range_that_shows_it(tmp_path: Path) -> None:
    def spots(label: int) -> Array:
        rng = np.random.default_rng(label)
        images = 100 + rng.normal(0, 1, (14, 16, 16))
        for image in images:
            for _ in range(label + 1):
                top, left = rng.integers(0, 14, 2)
                image[top : top + 2, left : left + 2] += rng.integers(15, 23)
        return images.round().astype(np.uint16)

    data = folder(tmp_path, spots)
    assert len(data.warnings) == 1, data.warnings
    assert data.warnings[0].startswith("the training images use ")
    low, high = map(float, re.findall(r"value_range: \[(.*), (.*)\]", data.warnings[0])[0])
    assert 94 <= low < 101
    assert 108 < high <= 126
    root = {"kind": "folder", "root": str(tmp_path), "image_size": 8}
    shown = source(**root, value_range=(low, high)).load()
    assert shown.warnings == ()
    assert int(shown.train.images.max()) > 200
    assert "given" in range_line(shown.value_ranges)


def test_a_dim_class_stays_dim_among_bright_ones(tmp_path: Path) -> None:
    data = folder(tmp_path, lambda n: noise(20, (0.95, 180)[n], n).astype(np.float32), "tif")
    assert mean(data, 0) < 2
    assert mean(data, 1) == pytest.approx(90, abs=5)
    assert ["'ant'" in text for text in data.warnings] == [True]


@pytest.mark.parametrize("white", [1.0, 255.0])
@pytest.mark.parametrize("beyond", [0.0, 2e-7, 0.01, 0.08])
def test_fractions_a_little_beyond_white_are_clipped(
    white: float, beyond: float, tmp_path: Path
) -> None:
    images = noise(40, white).astype(np.float32)
    images[3, 3, 3] = white * (1 + beyond)
    images[4, 4, 4] = -0.05
    data = source(kind="npz", root=str(npz(tmp_path / "a.npz", x=images, y=LABELS))).load()
    assert mean(data) == pytest.approx(127.5, abs=5)
    assert data.value_ranges.floats == (0, white)
    for label in range(2):
        write_files(tmp_path / CLASSES[label], images[label == LABELS], "tif")
    files = source(kind="folder", root=str(tmp_path), image_size=8).load()
    assert files.value_ranges.floats == (0, white)
    assert mean(files) == pytest.approx(127.5, abs=5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (noise(40, 1.5), "x with values in 0..1.5 and fractions, expected values up to about 1"),
        (noise(40, 2), r"[0, 2] scales them all"),
        (noise(40, 9.5), "these could be either"),
        (noise(40, 2) - 1, "for others give [LOW, HIGH], the values of black and white"),
        (noise(40, 9e4), "x with values in 0..90000"),
        ((noise(40, 255) - 128).astype(np.int16), "x with values in -128..127"),
    ],
)
def test_what_could_be_either_is_refused_and_the_field_says_it(
    images: Array, message: str, tmp_path: Path
) -> None:
    values = {"kind": "npz", "root": str(npz(tmp_path / "a.npz", x=images, y=LABELS))}
    with pytest.raises(InputError) as caught:
        source(**values).load()
    assert str(caught.value).startswith("data.value_range: got x with values in ")
    assert message in str(caught.value)
    given = source(**values, value_range=(float(images.min()), float(images.max())))
    assert mean(given.load()) == pytest.approx(127.5, abs=5)


def test_float_files_that_could_be_either_are_refused_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.value_range: got train with values in 0\.\.1\.5"):
        folder(tmp_path, lambda n: noise(10, 1.5, n).astype(np.float32), "tif")


@pytest.mark.parametrize(("small", "large"), [("train", "val"), ("val", "train"), ("test", "val")])
@pytest.mark.parametrize("form", ["png", "npz"])
def test_parts_of_different_depth_have_one_scale(
    small: str, large: str, form: str, tmp_path: Path
) -> None:
    parts = {
        part: noise(40, 255 if part == small else 4095, n).round().astype(np.uint16)
        for n, part in enumerate(("train", "val", "test"))
    }
    if form == "npz":
        arrays = {f"x_{part}": images for part, images in parts.items()}
        labels = {f"y_{part}": LABELS for part in parts}
        data = source(kind="npz", root=str(npz(tmp_path / "a.npz", **arrays, **labels)))
    else:
        for part, images in parts.items():
            for label, name in enumerate(CLASSES):
                write_files(tmp_path / part / name, images[label == LABELS])
        data = source(kind="folder", root=str(tmp_path), image_size=8)
    loaded = data.load()
    with unsealed():
        splits = {"train": loaded.train, "val": loaded.val, "test": data.load_test()}
    means = {part: float(split.images.float().mean()) for part, split in splits.items()}
    assert loaded.value_ranges.integers == (0, 4095)
    assert means.pop(small) == pytest.approx(8, abs=0.5)
    assert list(means.values()) == pytest.approx([127.5] * 2, abs=5)
    assert large in means


def test_only_the_test_part_may_tell_the_depth(tmp_path: Path) -> None:
    low, high = (noise(40, white).round().astype(np.uint16) for white in (255, 4095))
    path = npz(tmp_path / "a.npz", x_train=low, y_train=LABELS, x_test=high, y_test=LABELS)
    data = source(kind="npz", root=str(path))
    assert data.load().value_ranges.integers == (0, 4095)
    assert "training images use 17 of 256 levels" in data.load().warnings[0]


def test_parts_normalised_differently_are_refused(tmp_path: Path) -> None:
    parts = {"x_train": noise(40, 1), "x_test": noise(40, 255), "y_train": LABELS}
    path = npz(tmp_path / "a.npz", **parts, y_test=LABELS)
    with pytest.raises(InputError, match=r"got x_train with values in 0..1, but x_test with val"):
        source(kind="npz", root=str(path)).load()
