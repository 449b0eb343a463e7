"""Images that two splits share are told: what is measured on them is memory."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from distill_tune.datasets import ImageSource
from distill_tune.interfaces import ImageData

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]


def parted(photo_folder: PhotoFolder, root: Path, *parts: str) -> Path:
    """Write parts whose images differ (those of a class do not depend on the part)."""
    for number, part in enumerate(parts):
        photo_folder(root / part, {"ant": 6, "bee": 6})
        for path in sorted((root / part).rglob("*.png")):
            pixels = np.asarray(Image.open(path)) ^ np.uint8(number + 1)
            Image.fromarray(pixels).save(path)
    return root


def load(make: Make, root: Path, **values: Any) -> ImageData:
    return make(kind="folder", root=str(root), image_size=8, **values).load()


def test_parts_that_share_nothing_say_nothing(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    data = load(make, parted(photo_folder, tmp_path, "train", "val", "test"))
    assert data.warnings == ()
    assert data.skipped == ()


def test_images_in_two_parts_are_counted_and_one_is_named(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = parted(photo_folder, tmp_path, "train", "val", "test")
    (root / "val/ant/copy.png").write_bytes((root / "train/ant/3.png").read_bytes())
    # The same pixels in other bytes.
    Image.open(root / "train/bee/4.png").save(root / "val/bee/again.bmp")
    assert load(make, root).warnings == (
        "2 validation images are in train too, such as val/ant/copy.png (same as train/ant/3.png)",
    )


def test_images_drawn_from_one_folder_are_compared_too(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    root = photo_folder(tmp_path, {"ant": 10, "bee": 10})
    for path in (root / "ant").iterdir():
        path.write_bytes((root / "ant" / "0.png").read_bytes())
    warnings = load(make, root).warnings
    assert [text.partition(", such as ant/")[0] for text in warnings] == [
        "2 validation images are in train too",
        "2 test images are in train too",
        "2 test images are in val too",
    ]
    assert all(", such as ant/" in text for text in warnings)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_copy_in_a_part_outside_of_the_root_is_named_with_its_path(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make, part: str
) -> None:
    root = parted(photo_folder, tmp_path / "in", "train", "test" if part == "val" else "val")
    other = photo_folder(tmp_path / "out", {"ant": 5, "bee": 5})
    copy = other / "ant" / "copy.png"
    place = "test/ant" if part == "val" else "train/ant"
    copy.write_bytes((root / place / "1.png").read_bytes())
    source = make(kind="folder", root=str(root), image_size=8, **{part: str(other)})
    told = [text for text in source.load().warnings if str(other) in text or copy.name in text]
    assert any(str(copy) in text for text in told), source.load().warnings


def test_test_files_are_compared_unopened_and_only_where_another_is_as_long(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = parted(photo_folder, tmp_path, "train", "val", "test")
    for name, part, copied in (("x", "train", "ant/1.png"), ("y", "val", "bee/2.png")):
        (root / f"test/ant/{name} 猫.png").write_bytes((root / part / copied).read_bytes())
    (root / "test/bee/longer than any.png").write_bytes(b"x" * 5000)
    (root / "test/bee/empty.png").touch()
    (root / "train/bee/empty.png").touch()
    (root / "test/bee/gone.png").symlink_to(root / "nowhere")
    read: list[str] = []
    really_digest = hashlib.file_digest

    # Of the others the first bytes are looked at, which tell the depth of their values.
    def spy(file: Any, name: str) -> Any:
        path = Path(file.name)
        if "test" in path.relative_to(root).parts:
            read.append(path.name)
        return really_digest(file, name)

    def no_test_image(path: Path, **options: Any) -> Any:
        assert "/test/" not in str(path)
        return really_decode(path, **options)

    really_decode = Image.open
    monkeypatch.setattr(Image, "open", no_test_image)
    monkeypatch.setattr(hashlib, "file_digest", spy)
    assert load(make, root).warnings == (
        "1 test file is in train too, such as test/ant/x 猫.png (same as train/ant/1.png)",
        "1 test file is in val too, such as test/ant/y 猫.png (same as val/bee/2.png)",
    )
    assert "x 猫.png" in read
    assert not {"longer than any.png", "empty.png", "gone.png"} & set(read)


def test_images_without_files_are_counted(tmp_path: Path, make: Make) -> None:
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    labels = np.arange(12) % 2
    path = tmp_path / "some.npz"
    np.savez(path, x_train=images[:12], y_train=labels, x_val=images[10:22], y_val=labels)
    assert make(kind="npz", root=str(path)).load().warnings == (
        "2 validation images are in train too",
    )


@pytest.mark.parametrize("kind", ["digits", "mnist5k"])
def test_the_sets_that_come_along_share_nothing(kind: str, make: Make) -> None:
    assert make(kind=kind).load().warnings == ()
