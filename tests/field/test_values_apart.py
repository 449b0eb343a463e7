"""Values that lie apart from the others: told, clipped or refused, and never scaled in silence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from distill_tune.datasets import unsealed
from distill_tune.datasets.value_range import range_line
from distill_tune.errors import InputError
from distill_tune.interfaces import ImageData

from .images import Array, noise, source, write_files

CLASSES = ("ant", "bee")
LABELS = np.arange(40) % 2


def npz(path: Path, **arrays: Any) -> ImageData:
    np.savez(path / "a.npz", **arrays)
    return source(kind="npz", root=str(path / "a.npz")).load()


def folder(root: Path, *images: Array, suffix: str = "png", **fields: Any) -> ImageData:
    for name, some in zip(CLASSES, images, strict=True):
        write_files(root / name, some, suffix)
    return source(kind="folder", root=str(root), image_size=8, **fields).load()


def whole(white: float, seed: int = 0, num: int = 40) -> Array:
    return noise(num, white, seed).round().astype(np.uint16)


@pytest.mark.parametrize(("white", "apart"), [(4095, 65535), (1000, 16383), (122, 4095)])
@pytest.mark.parametrize("share", [0.0, 0.02])
def test_hot_pixels_do_not_hide_that_the_others_are_dark(
    white: int, apart: int, share: float, tmp_path: Path
) -> None:
    images = whole(white)
    images[np.random.default_rng(1).uniform(size=images.shape) < share] = apart
    images[5, 5, 5] = apart
    (told,) = npz(tmp_path, x=images, y=LABELS).warnings
    assert told.startswith("all but a few values of the training images lie in ")
    low, high = (float(end) for end in told.partition("[")[2].partition("]")[0].split(", "))
    assert low < 0.1 * white
    assert high == pytest.approx(white, rel=0.1, abs=apart / 255)


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_whole_numbers_one_beyond_white_are_clipped(
    white: int, dtype: type, tmp_path: Path
) -> None:
    images: Array = noise(40, white + 1).round().astype(dtype)
    data = npz(tmp_path, x=images, y=LABELS)
    assert range_line(data.value_ranges).startswith(f"values: 0..{white} (")
    assert float(data.train.images.float().mean()) == pytest.approx(127.5, abs=8)
    assert data.warnings == ()


def test_parts_two_bits_apart_are_named(tmp_path: Path) -> None:
    parts = {"x_train": whole(4095), "y_train": LABELS, "x_test": whole(16383, 1)}
    (told,) = npz(tmp_path, **parts, y_test=LABELS).warnings
    assert told.startswith("the training images use 65 of 256 levels (0..64)")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_some_flat_images_are_named_with_an_example(suffix: str, tmp_path: Path) -> None:
    dtype = np.uint8 if suffix == "png" else np.float32
    images = [noise(20, 255, seed).round().astype(dtype) for seed in (0, 1)]
    for some in images:
        shades = np.arange(7)[:, None, None] / (1 if suffix == "png" else 7)
        some[::3] = shades.astype(dtype)
    told = [text for text in folder(tmp_path, *images, suffix=suffix).warnings if "nearly" in text]
    assert len(told) == 1
    assert "training images have fewer than 4 of 256 levels each" in told[0]
    assert told[0].endswith(f".{suffix}")


def test_pictures_of_floats_are_as_bright_as_they_say(tmp_path: Path) -> None:
    for seed, name in enumerate(CLASSES):
        (tmp_path / name).mkdir()
        for number, pixels in enumerate(noise(20, 1, seed).astype("<f4")):
            header = b"Pf\n8 8\n-1.0\n"
            (tmp_path / name / f"{number}.pfm").write_bytes(header + pixels.tobytes())
    data = source(kind="folder", root=str(tmp_path), image_size=8).load()
    assert data.value_ranges.floats == (0, 1)
    assert float(data.train.images.float().mean()) == pytest.approx(127.5, abs=8)


def test_colours_of_16_bits_are_said_to_lose_their_lower_ones(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    for seed, name in enumerate(CLASSES):
        (tmp_path / name).mkdir()
        for number in range(10):
            rng = np.random.default_rng((seed, number))
            rows = rng.integers(0, 4096, (8, 8, 3)).astype(">u2")
            raw = b"".join(b"\0" + row.tobytes() for row in rows)
            (tmp_path / name / f"{number}.png").write_bytes(
                b"\x89PNG\r\n\x1a\n"
                + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(raw))
                + chunk(b"IEND", b"")
            )
    fields = {"kind": "folder", "root": str(tmp_path), "image_size": 8}
    told = source(**fields).load().warnings
    assert told[0].startswith("20 files with 16 bits for each of several colours: of these the up")
    given = source(**fields, value_range=(0, 4095)).load()
    assert range_line(given.value_ranges).endswith("(data.value_range, given; 8 bits stay)")


def test_classes_of_integers_and_of_floats_are_named(tmp_path: Path) -> None:
    images = whole(65535, num=10), noise(10, 1, 1).astype(np.float32)
    (told,) = folder(tmp_path, *images, suffix="tif").warnings
    assert told.startswith("100% of the files of class 'bee' are floating-point numbers, 0% of")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (noise(10, 3).astype(np.float32), "data.value_range: got test with values in 0..3 and fr"),
        (noise(10, 9).astype(np.float32) - 20, "got 10 files in test, none of them with values"),
        (noise(10, 9).astype(np.float32) * np.nan, "got 10 files in test, none of them with value"),
    ],
)
def test_a_test_part_without_a_scale_is_refused_at_once(
    images: Array, message: str, tmp_path: Path
) -> None:
    for name in CLASSES:
        write_files(tmp_path / "train" / name, noise(10, 255).astype(np.uint8))
    write_files(tmp_path / "test" / "ant", images, "tif")
    with pytest.raises(InputError) as caught:
        source(kind="folder", root=str(tmp_path), image_size=8).load()
    assert message in str(caught.value)


def test_a_test_part_of_another_depth_and_with_fewer_classes_is_told(tmp_path: Path) -> None:
    for seed, name in enumerate(CLASSES):
        write_files(tmp_path / "train" / name, noise(10, 255, seed).astype(np.uint8))
    write_files(tmp_path / "test" / "ant", whole(65535, 3, 10))
    depth, absent = source(kind="folder", root=str(tmp_path), image_size=8).load().warnings
    assert depth.startswith("100% of the files of test have more than 8 bits for each channel, 0%")
    assert absent == "test has no image of class 'bee'"


def test_bytes_of_0_and_1_beside_bytes_up_to_255_are_refused_at_once(tmp_path: Path) -> None:
    parts = {"x_train": noise(40, 255).astype(np.uint8), "x_test": (noise(40, 1) > 0.5) * 1}
    labels = {"y_train": LABELS, "y_test": LABELS}
    parts["x_test"] = parts["x_test"].astype(np.uint8)
    with pytest.raises(InputError, match=r"got x_test with values in 0\.\.1, but x_train with"):
        npz(tmp_path, **parts, **labels)
    given = source(kind="npz", root=str(tmp_path / "a.npz"), value_range=(0, 255))
    given.load()
    with unsealed():
        assert int(given.load_test().images.max()) == 1


def test_a_label_that_may_mean_none_and_classes_without_test_images_are_told(
    tmp_path: Path,
) -> None:
    x = noise(40, 255).astype(np.uint8)
    y = np.where(np.arange(40) < 6, -1, LABELS)
    told = npz(tmp_path, x_train=x, y_train=y, x_test=x, y_test=LABELS * 0).warnings
    assert told[0].startswith("the label -1 in y_train, of 6 images, is a class like the others;")
    assert told[1] == "test has no image of class '-1', '1'"
    assert npz(tmp_path, x=x, y=LABELS * 2 - 1).warnings == ()


@pytest.mark.parametrize("classes", [["01", "00"], ["1.0", "0.0"], [" 1", "0 "]])
def test_numbers_written_otherwise_are_as_ambiguous(classes: list[str], tmp_path: Path) -> None:
    x = noise(40, 255).astype(np.uint8)
    with pytest.raises(InputError, match="and labels that are both"):
        npz(tmp_path, x=x, y=LABELS, classes=classes)
    assert npz(tmp_path, x=x, y=LABELS, classes=["00", "01"]).classes == ("00", "01")


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
        npz(tmp_path, x=noise(40, 255).astype(np.uint8), y=y)
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
    npz(tmp_path, x=images, y=LABELS)
    assert [str(one.message) for one in recwarn if "overflow" in str(one.message)] == []


def test_a_range_that_ends_too_soon_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=whole(4095), y=LABELS)
    data = source(kind="npz", root=str(tmp_path / "a.npz"), value_range=(0, 255)).load()
    assert any("of the values of the training images are white" in one for one in data.warnings)


def test_other_names_of_arrays_are_told(tmp_path: Path) -> None:
    x = noise(40, 255).astype(np.uint8)
    more = {"test_images": x, "label_names": np.array(["a", "b"]), "photos": x, "id": LABELS}
    (told,) = npz(tmp_path, x=x, y=LABELS, class_names=np.array(["a", "b"]), **more).warnings
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
