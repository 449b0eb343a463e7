"""What tools and cameras note in image files does not cost their pixels."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from distill_tune.datasets.images.image_files import decode_all
from tests.field.trees import source

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8))
LONG = "a" * 2_000_000
TURNED = struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, 6, 0, 0)
MUCH = struct.pack("<4sIH", b"II*\0", 8, 2) + b"".join(
    (struct.pack("<HHII", 0x010E, 2, len(LONG), 38), struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)),
)  # fmt: skip


def saved(kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    IMAGE.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes, *, damage: int = 0) -> bytes:
    checksum = zlib.crc32(name + data) ^ damage
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def noted(*chunks: bytes, last: bool = False) -> bytes:
    """Return a PNG file with chunks before its pixels, or after them."""
    plain = saved()
    place = plain.index(b"IEND") - 4 if last else plain.index(b"IDAT") - 4
    return plain[:place] + b"".join(chunks) + plain[place:]


def text(**texts: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for keyword, value in texts.items():
        (info.add_itxt if not value.isascii() else info.add_text)(keyword, value, zip=True)
    return info


AS_TEXT = f"\nexif\n{len(TURNED) + 6:8}\n{(b'Exif' + bytes(2) + TURNED).hex()}\n"
PACKED = zlib.compress(LONG.encode())
AS_IT_LIES: dict[str, bytes] = {
    "a long text": saved(pnginfo=text(workflow=LONG)),
    "a long text in another script": saved(pnginfo=text(workflow=LONG.replace("a", "é"))),
    "many texts": noted(*[chunk(b"zTXt", b"x\0\0" + PACKED)] * 40),
    "a text after the pixels": noted(chunk(b"zTXt", b"x\0\0" + PACKED), last=True),
    "a long colour profile": saved(icc_profile=LONG.encode()),
    "a text of another packing": noted(chunk(b"zTXt", b"x\0\7" + PACKED)),
    "a text that is no text": noted(chunk(b"iTXt", b"\0\1\2")),
    "a damaged note": noted(chunk(b"tEXt", b"a\0b", damage=1)),
    "a damaged colour": noted(chunk(b"gAMA", b"", damage=1), chunk(b"cHRM", b"x")),
    "a damaged turn": noted(chunk(b"eXIf", TURNED, damage=1)),
    "an unknown note": noted(chunk(b"prVt", LONG.encode())),
}
TURNED_FILES: dict[str, bytes] = {
    "small": noted(chunk(b"eXIf", TURNED)),
    "beside a long text": noted(chunk(b"eXIf", TURNED), chunk(b"zTXt", b"x\0\0" + PACKED)),
    "in much else": noted(chunk(b"eXIf", MUCH + bytes(4) + LONG.encode())),
    "as a text": noted(
        chunk(b"zTXt", b"x\0\0" + PACKED),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(AS_TEXT.encode()),
        ),
    ),
}  # fmt: skip


def read(content: bytes, tmp_path: Path, name: str = "x.png") -> Any:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "plain.png").write_bytes(saved())
    images, reasons = decode_all([tmp_path / name, tmp_path / "plain.png"], 10)
    assert reasons == {}
    return images


@pytest.mark.parametrize("name", AS_IT_LIES)
def test_notes_cost_no_pixel(name: str, tmp_path: Path) -> None:
    got, plain = read(AS_IT_LIES[name], tmp_path)
    np.testing.assert_array_equal(got, plain)


@pytest.mark.parametrize("name", TURNED_FILES)
def test_what_says_how_an_image_is_turned_is_kept(name: str, tmp_path: Path) -> None:
    got, plain = read(TURNED_FILES[name], tmp_path)
    np.testing.assert_array_equal(got, np.rot90(plain, -1, axes=(1, 2)))


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF", "JPEG2000"])
def test_other_formats_are_read_with_much_noted_as_well(kind: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    plain = saved(kind, **options)
    much = saved(kind, icc_profile=LONG.encode(), xmp=LONG.encode(), **options)
    for name, content in (("plain", plain), ("much", much)):
        (tmp_path / name).write_bytes(content)
    images, reasons = decode_all([tmp_path / "plain", tmp_path / "much"], 10)
    assert reasons == {}
    np.testing.assert_array_equal(images[0], images[1])


def test_a_photograph_is_turned_though_its_other_notes_cannot_be_written_again(
    tmp_path: Path,
) -> None:
    # A type of value that there is not, beside the orientation.
    strange = struct.pack("<4sIH", b"II*\0", 8, 2) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    strange += struct.pack("<HHII", 0x9286, 99, 1, 7) + bytes(4)
    photo = saved("JPEG", quality=95)
    exif = b"Exif\0\0" + strange
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    turned = photo[:2] + segment + photo[2:]
    for name, content in (("plain.jpg", photo), ("turned.jpg", turned)):
        (tmp_path / name).write_bytes(content)
    images, reasons = decode_all([tmp_path / "plain.jpg", tmp_path / "turned.jpg"], 10)
    assert reasons == {}
    np.testing.assert_array_equal(images[1], np.rot90(images[0], -1, axes=(1, 2)))


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(b"tRNS", b"\0\1\0\2\0\3", damage=5),),
        (chunk(b"tRNS", b""),),
        (chunk(b"tRNS", b"\0" * 300),),
        (chunk(b"tRNS", b"\0\1\0\2\0\3"), chunk(b"tRNS", b"\0\1\0\2\0\3")),
    ],
    ids=["checksum", "empty", "too long", "twice"],
)
def test_damaged_transparency_costs_no_pixel(chunks: tuple[bytes, ...], tmp_path: Path) -> None:
    assert np.array_equal(read(noted(*chunks), tmp_path), read(saved(), tmp_path))


def test_transparency_is_put_on_white_beside_other_notes(tmp_path: Path) -> None:
    colour = struct.pack(">3H", *IMAGE.getpixel((5, 5)))  # type: ignore[misc]
    image = read(noted(chunk(b"tRNS", colour), chunk(b"tEXt", b"a\0b")), tmp_path)
    assert np.array_equal(image, read(noted(chunk(b"tRNS", colour)), tmp_path))
    assert not np.array_equal(image, read(saved(), tmp_path))


def test_a_photograph_of_two_views_is_read_by_its_first(tmp_path: Path) -> None:
    for folder in ("ant", "bee"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            image = Image.new("RGB", (12, 10), (40 * number, 9, 200))
            other = Image.new("RGB", (12, 10), (255, 255, 255))
            file = tmp_path / folder / f"{number}.mpo"
            image.save(file, "MPO", save_all=True, append_images=[other])
    images = source(tmp_path).load().train.images
    assert len(images) == 6
    assert int(images[:, 1].max()) < 60
