"""Folders as people have them: any mode, any size, broken files, strange names, loops."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from distill_tune.datasets import ImageSource
from distill_tune.datasets.images.image_files import MAX_PIXELS, decode, decode_all
from distill_tune.errors import InputError

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]
SEA = Image.fromarray(load_sample_images().images[0]).resize((96, 64))


def pixel(image: Image.Image, tmp_path: Path, name: str = "one.png", **save: Any) -> list[int]:
    """Save an image, read it as the kind does, and return the middle pixel."""
    image.save(tmp_path / name, **save)
    return [int(value) for value in decode(tmp_path / name, 8)[:, 4, 4]]


def grey16(value: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8), value, dtype=np.uint16))


def palette(transparent: int | None) -> tuple[Image.Image, dict[str, Any]]:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 10, 30])
    return image, {} if transparent is None else {"transparency": transparent}


@pytest.mark.parametrize(
    ("image", "name", "save", "expected"),
    [
        (Image.new("1", (8, 8), 1), "a.png", {}, [255, 255, 255]),
        (Image.new("L", (8, 8), 90), "a.png", {}, [90, 90, 90]),
        (Image.new("L", (8, 8), 90), "a.png", {"transparency": 90}, [255, 255, 255]),
        (Image.new("LA", (8, 8), (0, 51)), "a.png", {}, [204, 204, 204]),
        (grey16(65535), "a.png", {}, [255, 255, 255]),
        (grey16(257 * 40), "a.png", {}, [40, 40, 40]),
        (grey16(257 * 40), "a.tiff", {}, [40, 40, 40]),
        (Image.fromarray(np.full((8, 8), 0.2, dtype=np.float32)), "a.tiff", {}, [51, 51, 51]),
        (Image.fromarray(np.full((8, 8), 77, dtype=np.float32)), "a.tiff", {}, [77, 77, 77]),
        (palette(None)[0], "a.png", palette(None)[1], [200, 10, 30]),
        (palette(1)[0], "a.png", palette(1)[1], [255, 255, 255]),
        (palette(0)[0], "a.gif", palette(0)[1], [200, 10, 30]),
        (Image.new("RGB", (8, 8), (9, 8, 7)), "A.BMP", {}, [9, 8, 7]),
        (Image.new("RGBA", (8, 8), (0, 100, 255, 0)), "a.png", {}, [255, 255, 255]),
        (
            Image.new("RGBA", (8, 8), (0, 100, 255, 51)),
            "a.webp",
            {"lossless": True},
            [204, 224, 255],
        ),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif", {}, [255, 0, 0]),
        (Image.new("RGB", (8, 8), (9, 8, 7)), "a.PPM", {}, [9, 8, 7]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_an_image_of_any_mode_becomes_eight_bits_on_white(
    image: Image.Image, name: str, save: dict[str, Any], expected: list[int], tmp_path: Path
) -> None:
    assert pixel(image, tmp_path, name, **save) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_the_way_its_camera_was_held(
    orientation: int, tmp_path: Path
) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turned = SEA if orientation == 1 else SEA.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "turned.png", exif=exif)
    SEA.save(tmp_path / "upright.png")
    upright = decode(tmp_path / "upright.png", 16).astype(int)
    difference = np.abs(decode(tmp_path / "turned.png", 16).astype(int) - upright)
    assert difference.mean() < 1


def test_an_image_is_scaled_by_its_shorter_side_and_cut_in_the_middle(tmp_path: Path) -> None:
    pixels = np.zeros((8, 24, 3), dtype=np.uint8)
    pixels[:, 8:16] = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(
        decode(tmp_path / "wide.png", 8), pixels[:, 8:16].transpose(2, 0, 1)
    )
    Image.new("RGB", (3000, 1), (9, 8, 7)).save(tmp_path / "strip.png")
    assert decode(tmp_path / "strip.png", 8)[:, 4, 4].tolist() == [9, 8, 7]


def bomb() -> bytes:
    """Return a PNG of 90 bytes that claims 30,000 x 30,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_broken_files_are_listed_with_their_reason_and_others_ignored(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path, {"ant": 6, "bee": 6})
    whole = (tmp_path / "bee" / "0.png").read_bytes()
    broken = {"cut.png": whole[:120], "empty.JPG": b"", "text.png": b"no image", "bomb.png": bomb()}
    for name, content in {**broken, "a.heic": b"ftypheic"}.items():
        (tmp_path / "bee" / name).write_bytes(content)
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "._0.png", "P3 list.csv", "desktop"):
        (tmp_path / "bee" / name).write_bytes(b"P3 not an image")
    (tmp_path / "bee" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "bee" / "self.png").symlink_to(tmp_path / "bee" / "self.png")
    os.mkfifo(tmp_path / "bee" / "pipe.png")
    data = make(kind="folder", root=str(tmp_path), image_size=8).load()
    reasons = dict(line.split(": ", 1) for line in data.skipped)
    assert len(data.train.labels) + len(data.val.labels) == 12 - 2
    assert reasons.pop("bee/cut.png")
    assert reasons == {
        "bee/a.heic": "not an image that Pillow can read",
        "bee/bomb.png": f"more than {MAX_PIXELS} pixels",
        "bee/empty.JPG": "not an image that Pillow can read",
        "bee/gone.png": "not a file that can be opened",
        "bee/pipe.png": "not a file that can be opened",
        "bee/self.png": "not a file that can be opened",
        "bee/text.png": "not an image that Pillow can read",
    }


def test_a_folder_in_which_nothing_is_readable_says_so(tmp_path: Path, make: Make) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"got 2 files in train, none readable; .*ant/one\.png: "):
        make(kind="folder", root=str(tmp_path)).load()


def test_strange_names_links_and_depths_are_read_and_loops_do_no_harm(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = photo_folder(tmp_path / "my data", {"Zoë mit Ü/deep/er": 5, "猫 cat": 5})
    photo_folder(tmp_path, {"elsewhere": 4})
    (root / "猫 cat" / "without suffix").write_bytes((root / "猫 cat" / "0.png").read_bytes())
    (root / "Zoë mit Ü" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "Zoë mit Ü" / "deep" / "up").symlink_to(root)
    (root / "猫 cat" / "self").symlink_to(root / "猫 cat")
    (root / "loop").symlink_to(root)
    (root / "__MACOSX").mkdir()
    data = make(kind="folder", root=str(root), image_size=8, test_fraction=0.0).load()
    assert data.name == "my data"
    assert data.classes == ("Zoë mit Ü", "猫 cat")
    total = data.train.labels.bincount() + data.val.labels.bincount()
    assert total.tolist() == [9, 6]
    assert data.skipped == ()


def test_the_order_in_which_a_disk_lists_files_changes_nothing(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photo_folder(tmp_path, {"ant": 12, "bee": 12})
    source = make(kind="folder", root=str(root), image_size=8)
    before, listed = source.load(), Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(listed(path))))
    assert source.load().digest == before.digest


def test_colour_is_found_in_the_pixels_and_not_in_the_mode(tmp_path: Path, make: Make) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for value in range(6):
            mode = "RGB" if value % 2 else "L"
            grey = Image.new("L", (8, 8), value * 20).convert(mode)
            grey.save(tmp_path / name / f"{value}.png")
    source = make(kind="folder", root=str(tmp_path), image_size=8)
    assert source.load().channels == 1
    assert source.load_test().images.shape[1] == 1
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "ant" / "colored.png")
    allowed = make(kind="folder", root=str(tmp_path), image_size=8, test_fraction=0.0)
    assert allowed.load().channels == 3
    grey_again = make(kind="folder", root=str(tmp_path), image_size=8, color="grey").load()
    assert torch.equal(grey_again.train.images, grey_again.train.images[:, :1])


@pytest.mark.parametrize("val_name", ["val", "valid", "Validation"])
def test_the_parts_of_a_folder_are_used_and_the_test_part_stays_shut(
    val_name: str,
    tmp_path: Path,
    photo_folder: PhotoFolder,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, count in {"train": 4, val_name: 3, "test": 2}.items():
        photo_folder(tmp_path / name, {"ant": count, "bee": count})
    opened: list[str] = []
    really_open = Image.open

    def spy(path: Path, **more: Any) -> Image.Image:
        opened.append(str(path))
        return really_open(path, **more)

    monkeypatch.setattr(Image, "open", spy)
    source = make(kind="folder", root=str(tmp_path), image_size=8)
    data = source.load()
    assert [len(data.train.labels), len(data.val.labels)] == [8, 6]
    assert len(opened) == 14
    assert not [path for path in opened if "/test/" in path]
    assert len(source.load_test().labels) == 4


def test_a_folder_that_holds_a_named_part_is_no_class(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = photo_folder(tmp_path, {"ant": 8, "bee": 8})
    photo_folder(root / "held" / "out", {"ant": 3, "bee": 3})
    source = make(kind="folder", root=str(root), image_size=8, train=".", test="held/out")
    assert source.load().classes == ("ant", "bee")
    assert len(source.load_test().labels) == 6


def test_a_folder_may_have_a_class_called_train(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = photo_folder(tmp_path, {"car": 5, "plane": 5, "train": 5})
    data = make(kind="folder", root=str(root), image_size=8).load()
    assert data.classes == ("car", "plane", "train")


def test_decoding_many_files_at_once_keeps_their_order(
    tmp_path: Path, photo_folder: PhotoFolder
) -> None:
    photo_folder(tmp_path, {"ant": 40})
    paths = [tmp_path / "ant" / f"{number}.png" for number in range(40)]
    images, reasons = decode_all(paths, 8)
    assert reasons == {}
    for path, pixels in zip(paths, images, strict=True):
        np.testing.assert_array_equal(pixels, decode(path, 8))
