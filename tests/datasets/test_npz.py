"""Arrays in a file: every layout that is accepted, and what the others are told."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill_tune.datasets import ImageSource
from distill_tune.errors import InputError

Make = Callable[..., ImageSource]
COLOR = np.random.default_rng(0).integers(2, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.repeat([0, 1], 10)


@pytest.fixture
def saved(tmp_path: Path, make: Make) -> Callable[..., ImageSource]:
    def save(**arrays: Any) -> ImageSource:
        np.savez(tmp_path / "set.npz", **arrays)
        return make(kind="npz", root=str(tmp_path / "set.npz"))

    return save


def everything(source: ImageSource) -> set[bytes]:
    data = source.load()
    images = torch.cat([data.train.images, data.val.images, source.load_test().images])
    return {image.numpy().tobytes() for image in images}


CHANNELS_FIRST = COLOR.transpose(0, 3, 1, 2)
ROWS = {np.ascontiguousarray(image).tobytes() for image in CHANNELS_FIRST}


@pytest.mark.parametrize(
    "images",
    [COLOR, CHANNELS_FIRST, COLOR.astype(np.int64), COLOR / 255, COLOR.astype(np.float32)],
    ids=["nhwc", "nchw", "int64", "floats up to 1", "floats up to 255"],
)
def test_layouts_and_ranges_give_the_same_images(
    images: Any, saved: Callable[..., ImageSource]
) -> None:
    assert everything(saved(x=images, y=LABELS)) == ROWS


@pytest.mark.parametrize("shape", [(20, 8, 8), (20, 8, 8, 1), (20, 1, 8, 8)])
def test_grey_images_may_have_a_channel_or_none(
    shape: tuple[int, ...], saved: Callable[..., ImageSource]
) -> None:
    source = saved(images=COLOR[..., 0].reshape(shape), labels=LABELS)
    assert source.load().train.images.shape[1:] == (1, 8, 8)
    assert everything(source) == {image.tobytes() for image in COLOR[..., 0]}


@pytest.mark.parametrize(
    ("labels", "extra", "classes"),
    [
        (LABELS.astype(np.uint8), {}, ("0", "1")),
        (LABELS[:, None], {}, ("0", "1")),
        (LABELS.astype(bool), {}, ("0", "1")),
        (np.where(LABELS, 30, 4), {}, ("4", "30")),
        (np.where(LABELS, "dog", "cat"), {}, ("cat", "dog")),
        (np.where(LABELS, b"dog", b"cat"), {}, ("cat", "dog")),
        (LABELS, {"classes": np.array(["zebra", "ape"])}, ("zebra", "ape")),
        (np.where(LABELS, "ape", "zebra"), {"classes": ["zebra", "ape"]}, ("zebra", "ape")),
    ],
)
def test_labels_are_integers_of_any_type_or_text(
    labels: Any, extra: dict[str, Any], classes: tuple[str, ...], saved: Callable[..., ImageSource]
) -> None:
    data = saved(x=COLOR, y=labels, **extra).load()
    assert data.classes == classes
    first = {np.ascontiguousarray(image).tobytes() for image in CHANNELS_FIRST[:10]}
    of_class_0 = data.train.images[data.train.labels == 0]
    assert {image.numpy().tobytes() for image in of_class_0} <= first


def test_wide_images_are_cropped_to_their_middle(saved: Callable[..., ImageSource]) -> None:
    wide = np.zeros((20, 8, 12, 3), dtype=np.uint8)
    wide[:, :, 2:10] = COLOR
    assert everything(saved(x=wide, y=LABELS)) == ROWS


def test_parts_are_used_and_a_damaged_test_part_is_told_when_it_is_read(
    saved: Callable[..., ImageSource], tmp_path: Path
) -> None:
    parts = {"x_train": COLOR[5:15], "y_train": LABELS[5:15], "x_val": COLOR[::5]}
    parts |= {"y_val": LABELS[::5], "x_test": COLOR[1::5], "y_test": LABELS[1::5]}
    source = saved(**parts)
    assert [len(source.load().train.labels), len(source.load().val.labels)] == [10, 4]
    np.testing.assert_array_equal(source.load_test().images, CHANNELS_FIRST[1::5])
    path = tmp_path / "set.npz"
    damaged = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x_test.npy").header_offset + 300
    damaged[start : start + 50] = bytes(50)
    path.write_bytes(damaged)
    assert len(source.load().train.labels) == 10
    with pytest.raises(InputError, match="got x_test, which cannot be read"):
        source.load_test()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": COLOR, "b": LABELS}, "got the keys a, b, expected x_train and y_train (also"),
        ({"x_train": COLOR}, "got the keys x_train without y_train, expected"),
        ({"x_val": COLOR, "y_val": LABELS}, "got the keys x_val, y_val, expected"),
        ({"x": COLOR, "y": LABELS[:-1]}, "got x of shape (20, 8, 8, 3) and y of (19,), expected"),
        ({"x": COLOR, "y": np.eye(2)[LABELS]}, ": y.argmax(1), if a 1 in"),
        ({"x": COLOR.reshape(20, -1), "y": LABELS}, "got x of shape (20, 192), expected [n, h, w]"),
        ({"x": COLOR / 127.5 - 1, "y": LABELS}, "got x with values in -0.98"),
        ({"x": COLOR * 1e6, "y": LABELS}, "..2.55e+08, expected values from 0 up to 1"),
        ({"x": COLOR * np.nan, "y": LABELS}, "got x with values that are infinite or not numbers"),
        ({"x": COLOR.astype(str), "y": LABELS}, "got x of type <U3, expected numbers"),
        ({"x": COLOR, "y": LABELS / 2}, "got y of type float64, expected integers or text"),
        ({"x": COLOR, "y": LABELS.astype(object)}, "again as y=numpy.asarray(y).astype(str)"),
        ({"x": COLOR[:0], "y": LABELS[:0]}, "got no image in train, expected images"),
        ({"x": COLOR, "y": LABELS * 0}, "got one class only: '0', expected two classes or more"),
        ({"x": COLOR, "y": LABELS, "classes": ["a"]}, "labels in y that classes does not have: 1"),
        ({"x": COLOR, "y": LABELS, "classes": ["a", "a"]}, "got classes that hold 'a' twice, exp"),
        (
            {"x_train": COLOR, "y_train": LABELS, "x_val": COLOR, "y_val": LABELS + 1},
            "got classes in val that train does not have: '2'",
        ),
        (
            {"x_train": COLOR, "y_train": LABELS, "x_val": COLOR[:, :4], "y_val": LABELS},
            "data.image_size: got val images of 4 pixels, train images of 8",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_in_words(
    arrays: dict[str, Any], message: str, saved: Callable[..., ImageSource]
) -> None:
    with pytest.raises(InputError) as caught:
        saved(**arrays).load()
    assert str(caught.value).startswith("data.")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"some text", b"\x93NUMPY"])
def test_a_file_that_is_no_npz_is_refused(content: bytes, tmp_path: Path, make: Make) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"expected an \.npz file as numpy\.savez writes it"):
        make(kind="npz", root=str(tmp_path / "set.npz")).load()
    with pytest.raises(InputError) as caught:
        make(kind="npz", root=str(tmp_path / "set.npz")).load()
    assert "pickle" not in str(caught.value)


def test_a_missing_file_is_told_with_a_near_one(
    saved: Callable[..., ImageSource], tmp_path: Path, make: Make
) -> None:
    saved(x=COLOR, y=LABELS)
    with pytest.raises(InputError) as caught:
        make(kind="npz", root=str(tmp_path / "sets.npz")).load()
    assert str(caught.value).endswith(f"Did you mean '{tmp_path / 'set.npz'}'?")


def test_features_are_not_taken_for_images_of_three_pixels(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, x=np.zeros((40, 2000, 3), dtype=np.uint8), y=np.arange(40) % 2)
    with pytest.raises(InputError, match=r"shape \(40, 2000, 3\), which are images of 2000x3"):
        make(kind="npz", root=str(path)).load()


def test_names_of_classes_can_be_written_on_a_line(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "some.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(path, x=images, y=np.array(["a\nb", "\x1b[31mred"])[np.arange(40) % 2])
    classes = make(kind="npz", root=str(path)).load().classes
    assert not any("\n" in name or "\x1b" in name for name in classes)
    names = np.array(["e\u0301", "\u00e9"])
    np.savez(path, x=images, y=names[np.arange(40) % 2])
    with pytest.raises(InputError, match="got two classes that are both written 'é'"):
        make(kind="npz", root=str(path)).load()


@pytest.mark.parametrize("shape", [(40, 0, 8), (40, 8, 0), (40, 0, 0, 3)])
def test_images_without_pixels_are_refused(
    shape: tuple[int, ...], tmp_path: Path, make: Make
) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, x=np.zeros(shape, dtype=np.uint8), y=np.arange(40) % 2)
    with pytest.raises(InputError, match=r"got x of shape \(40, .*, expected \[n, h, w\]"):
        make(kind="npz", root=str(path)).load()


def test_images_larger_than_networks_take_need_a_size(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, x=np.eye(1100, dtype=np.uint8)[None].repeat(12, 0), y=np.arange(12) % 2)
    with pytest.raises(InputError, match=r"image_size: got images of 1100 pixels, expected a si"):
        make(kind="npz", root=str(path)).load()
    assert make(kind="npz", root=str(path), image_size=16).load().image_size == 16


@pytest.mark.parametrize("shape", ["(40, 100000000, 100000)", "(40, -1, 8)", "('x', 8)", "(" * 300])
def test_a_header_that_claims_too_much_is_no_crash(shape: str, tmp_path: Path, make: Make) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
    path = tmp_path / "some.npz"
    np.savez(path, y=np.arange(40) % 2)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(InputError, match=r"data\.root: got x, which cannot be read \("):
        make(kind="npz", root=str(path)).load()
