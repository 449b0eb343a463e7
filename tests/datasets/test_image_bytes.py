"""Files as cameras, editors and accidents leave them: each is read, or named with a reason."""

import io
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from distill_tune.datasets import ImageSource
from distill_tune.datasets.folder_tree.listing import files_below
from distill_tune.datasets.images.image_files import MAX_PIXELS, decode_all, image_paths
from distill_tune.errors import InputError

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]
RED = (200, 10, 30)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(**options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", **options)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(size: int, bits: int, kind: int, row: bytes, *, more: bytes = b"") -> bytes:
    """Return a PNG of equal rows, in modes that Pillow reads but does not write."""
    header = struct.pack(">IIBBBBB", size, size, bits, kind, 0, 0, 0)
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(b"\0" + row) for _ in range(size)) + packer.flush()
    chunks = chunk(b"IHDR", header) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_exif(content: bytes, exif: bytes) -> bytes:
    segment = b"Exif\0\0" + exif
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]


def frames(*colors: tuple[int, int, int]) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), color) for color in colors]


TRANSPARENT_RED = b"\0\0\0" + bytes(RED)
READ: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "cmyk.jpg": (
        encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95),
        (255, 0, 0),
    ),
    "grey.jpg": (encoded(Image.new("L", (16, 16), 90), "JPEG", quality=95), (90, 90, 90)),
    "grey of 16 bits.png": (png(8, 16, 0, struct.pack(">H", 257 * 40) * 8), (40, 40, 40)),
    "colour of 16 bits.png": (
        png(8, 16, 2, struct.pack(">HHH", 65535, 25700, 0) * 8),
        (255, 100, 0),
    ),
    "alpha of 16 bits.png": (
        png(8, 16, 6, struct.pack(">HHHH", 0, 25700, 65535, 257 * 51) * 8),
        (204, 224, 255),
    ),
    "grey alpha of 16 bits.png": (png(8, 16, 4, struct.pack(">HH", 0, 257 * 51) * 8), (204,) * 3),
    "palette.png": (png(8, 8, 3, b"\1" * 8, more=chunk(b"PLTE", TRANSPARENT_RED)), RED),
    "palette, transparent.png": (
        png(8, 8, 3, b"\1" * 8, more=chunk(b"PLTE", TRANSPARENT_RED) + chunk(b"tRNS", b"\xff\0")),
        (255, 255, 255),
    ),
    "palette, half transparent.png": (
        png(8, 8, 3, b"\1" * 8, more=chunk(b"PLTE", bytes(3) * 2) + chunk(b"tRNS", b"\xff\x33")),
        (204, 204, 204),
    ),
    "moving.gif": (
        encoded(frames(RED)[0], "GIF", save_all=True, append_images=frames((0, 0, 255), RED)),
        RED,
    ),
    "moving.webp": (
        encoded(
            frames(RED)[0], "WEBP", lossless=True, save_all=True, append_images=frames((0, 0, 9))
        ),
        RED,
    ),
    "pages.tiff": (
        encoded(frames(RED)[0], "TIFF", save_all=True, append_images=frames((0, 0, 255))),
        RED,
    ),
    "one pixel.png": (encoded(Image.new("RGB", (1, 1), RED), "PNG"), RED),
    "a line.png": (encoded(Image.new("RGB", (1, 5000), RED), "PNG"), RED),
    "really a PNG.jpg": (encoded(Image.new("RGB", (8, 8), RED), "PNG"), RED),
    "wrong suffix.dat": (encoded(Image.new("RGB", (8, 8), RED), "PNG"), RED),
}  # fmt: skip

UNREAD: dict[str, tuple[bytes, str]] = {
    "nothing.jpg": (b"", "not an image that Pillow can read"),
    "prose.jpg": (b"no image at all", "not an image that Pillow can read"),
    "page.png": (b"<!DOCTYPE html><html></html>", "not an image that Pillow can read"),
    "cut in its head.jpg": (photo()[:10], "Truncated File Read"),
    "cut in half.jpg": (photo()[: len(photo()) // 2], "image file is truncated"),
    "cut, progressive.jpg": (photo(progressive=True)[:1500], "image file is truncated"),
    "cut at its end.jpg": (photo()[:-200], "image file is truncated"),
    "cut.png": (png(64, 8, 2, bytes(range(192)))[:200], ""),
    "no pixels.png": (png(0, 8, 2, b""), "not an image that Pillow can read"),
    "wide.png": (png(20_000, 1, 0, b"\xaa" * 2500), f"more than {MAX_PIXELS} pixels"),
    "a little too wide.jpg": (
        encoded(Image.new("L", (8193, 8192)), "JPEG"),
        f"more than {MAX_PIXELS} pixels",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_viewer_would_show_is_read(name: str, tmp_path: Path) -> None:
    content, color = READ[name]
    (tmp_path / name).write_bytes(content)
    assert image_paths(tmp_path) == [tmp_path / name]
    images, reasons = decode_all([tmp_path / name], 8)
    assert reasons == {}
    difference = images[0].astype(int) - np.reshape(color, (3, 1, 1))
    assert np.abs(difference).max() <= (2 if name.endswith(".jpg") else 0)


@pytest.mark.parametrize(
    "exif",
    [
        b"garbage!" * 4,
        struct.pack("<4sIH", b"II*\0", 8, 65535),
        struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, 99, 0, 0),
    ],
    ids=["no EXIF", "endless", "an orientation that there is not"],
)
def test_a_photograph_with_broken_notes_is_read_as_it_lies(exif: bytes, tmp_path: Path) -> None:
    (tmp_path / "noted.jpg").write_bytes(with_exif(photo(), exif))
    (tmp_path / "plain.jpg").write_bytes(photo())
    images, reasons = decode_all([tmp_path / "noted.jpg", tmp_path / "plain.jpg"], 16)
    assert reasons == {}
    np.testing.assert_array_equal(images[0], images[1])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photograph_is_turned_also_when_it_is_decoded_small(
    orientation: int, tmp_path: Path
) -> None:
    corner = Image.new("L", (640, 480), 0)
    corner.paste(255, (0, 0, 320, 240))
    # Where the bright corner goes, for each way to hold a camera.
    right, bottom = orientation in {2, 3, 6, 7}, orientation in {3, 4, 7, 8}
    exif = struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    (tmp_path / "turned.jpg").write_bytes(with_exif(encoded(corner, "JPEG"), exif))
    image = decode_all([tmp_path / "turned.jpg"], 8)[0][0, 0].astype(int)
    bright = {(y, x): image[y * 7, x * 7] > 128 for y in (0, 1) for x in (0, 1)}
    assert [place for place, is_bright in bright.items() if is_bright] == [
        (int(bottom), int(right))
    ]


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_is_listed_with_its_reason(
    name: str, tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path, {"ant": 5, "bee": 5})
    content, reason = UNREAD[name]
    (tmp_path / "bee" / name).write_bytes(content)
    data = make(kind="folder", root=str(tmp_path), image_size=8).load()
    assert len(data.skipped) == 1
    assert data.skipped[0].startswith(f"bee/{name}: {reason}")
    assert len(data.skipped[0]) > len(f"bee/{name}: ")


def test_too_large_an_image_costs_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    (tmp_path / "wide.png").write_bytes(UNREAD["wide.png"][0])
    tracemalloc.start()
    _, reasons = decode_all([tmp_path / "wide.png"] * 8, 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(reasons.values()) == {f"more than {MAX_PIXELS} pixels"}
    assert peak < 10_000_000


def test_names_are_told_whatever_signs_they_hold(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = photo_folder(tmp_path / "data", {"a b [red]": 5, "Zoë\n\x1b[31m": 5})
    (root / "a b [red]" / " two\nlines\x07.png").touch()
    (root / "a b [red]" / os.fsdecode(b"\xff.png")).touch()
    data = make(kind="folder", root=str(root), image_size=8).load()
    assert data.classes == ("Zoë\\n\\x1b[31m", "a b [red]")
    assert [line.partition(": ")[0] for line in data.skipped] == [
        "a b [red]/ two\\nlines\\x07.png",
        "a b [red]/\\xff.png",
    ]


def test_folders_deeper_than_functions_nest_are_read(tmp_path: Path) -> None:
    folders = [tmp_path / "a"]
    while len(str(folders[-1])) < 2600:
        folders.append(folders[-1] / "a")
    # One by one, here and at the end: neither pathlib nor pytest goes so deep.
    for folder in folders:
        folder.mkdir()
    file = folders[-1] / "one.png"
    file.touch()
    try:
        assert list(files_below(tmp_path)) == [file]
    finally:
        file.unlink()
        for folder in reversed(folders):
            folder.rmdir()


def test_loops_of_several_links_are_walked_once(tmp_path: Path) -> None:
    for name, other in (("ant", "bee"), ("bee", "ant")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "other").symlink_to(tmp_path / other)
        (tmp_path / name / f"{name}.png").touch()
    (tmp_path / "ant" / "to itself").symlink_to("to itself")
    (tmp_path / "ant" / "x.png").symlink_to("y.png")
    (tmp_path / "ant" / "y.png").symlink_to("x.png")
    names = [path.name for path in files_below(tmp_path / "ant")]
    assert names == ["ant.png", "bee.png", "to itself", "x.png", "y.png"]
    _, reasons = decode_all([tmp_path / "ant" / "x.png"], 8)
    assert reasons == {0: "not a file that can be opened"}


def test_a_class_of_one_image_is_named(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path, {"ant": 9, "bee": 1})
    with pytest.raises(
        InputError, match=r"got 1 image of class 'bee', expected at least 3 in ever"
    ):
        make(kind="folder", root=str(tmp_path), image_size=8).load()
