"""Values that lie apart from the others: told, clipped or refused, and never scaled in silence."""

from pathlib import Path

import numpy as np
import pytest

from distill_tune.datasets.images.value_range import range_line
from distill_tune.errors import InputError
from tests.field.images import (
    CLASSES,
    LABELS,
    Array,
    folder,
    noise,
    npz_data,
    source,
    whole,
    write_files,
)


@pytest.mark.parametrize(("white", "apart"), [(4095, 65535), (1000, 16383), (122, 4095)])
@pytest.mark.parametrize("share", [0.0, 0.02])
def test_hot_pixels_do_not_hide_that_the_others_are_dark(
    white: int, apart: int, share: float, tmp_path: Path
) -> None:
    images = whole(white)
    images[np.random.default_rng(1).uniform(size=images.shape) < share] = apart
    images[5, 5, 5] = apart
    (told,) = npz_data(tmp_path, x=images, y=LABELS).warnings
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
    data = npz_data(tmp_path, x=images, y=LABELS)
    assert range_line(data.value_ranges).startswith(f"values: 0..{white} (")
    assert float(data.train.images.float().mean()) == pytest.approx(127.5, abs=8)
    assert data.warnings == ()


def test_parts_two_bits_apart_are_named(tmp_path: Path) -> None:
    parts = {"x_train": whole(4095), "y_train": LABELS, "x_test": whole(16383, 1)}
    (told,) = npz_data(tmp_path, **parts, y_test=LABELS).warnings
    assert told.startswith("the training images use 65 of 256 levels (0..64)")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_some_flat_images_are_named_with_an_example(suffix: str, tmp_path: Path) -> None:
    dtype = np.uint8 if suffix == "png" else np.float32
    images = [noise(20, 255, seed).round().astype(dtype) for seed in (0, 1)]
    for some in images:
        shades = np.arange(7)[:, None, None] / (1 if suffix == "png" else 7)
        some[::3] = shades.astype(dtype)
    told = [
        text
        for text in folder(tmp_path, images.__getitem__, suffix=suffix).warnings
        if "nearly" in text
    ]
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
    assert told[0].startswith("20 files with 16 bits for each of several colours: only the upper 8")
    given = source(**fields, value_range=(0, 4095)).load()
    assert range_line(given.value_ranges).endswith("(data.value_range, given; 8 bits stay)")


def test_classes_of_integers_and_of_floats_are_named(tmp_path: Path) -> None:
    images = whole(65535, num=10), noise(10, 1, 1).astype(np.float32)
    (told,) = folder(tmp_path, images.__getitem__, suffix="tif").warnings
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
