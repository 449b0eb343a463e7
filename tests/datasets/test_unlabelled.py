"""Images without labels: where they come from, and that none is a validation or test image."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from distill_tune.cluster.shared_images import PlacedImages
from distill_tune.datasets import ImageSource
from distill_tune.datasets.train_part.unlabelled import moved_along
from distill_tune.errors import InputError
from distill_tune.interfaces import ImageData
from distill_tune.tuning.opening_lines import introduction
from tests.datasets.conftest import photos

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]
FEW: dict[str, Any] = {"train_per_class": 10, "val_per_class": 20, "test_fraction": 0.4}


def pixels(images: Tensor | None) -> set[bytes]:
    assert images is not None
    return {image.numpy().tobytes() for image in images}


def held_out(source: ImageSource, images: ImageData) -> set[bytes]:
    return pixels(images.val.images) | pixels(source.load_test().images)


def test_by_default_there_are_none(make: Make) -> None:
    images = make(kind="digits", **FEW).load()
    assert images.unlabelled is None
    assert images.num_unlabelled == 0


def test_the_rest_is_what_no_split_takes_in_every_draw(make: Make) -> None:
    source = make(kind="digits", unlabelled="rest", **FEW)
    pools = source.read_pools()
    found = [source.load(), *(source.redrawn(seed).load(pools) for seed in (1000, 1001))]
    for images in found:
        others = pixels(images.unlabelled)
        assert not others & held_out(source, images)
        assert not others & pixels(images.train.images)
        num_test = len(source.load_test().labels)
        assert images.num_unlabelled == 1797 - 100 - 200 - num_test
    assert len({images.digest for images in found}) == 3


def test_they_change_the_digest_but_no_split(make: Make) -> None:
    plain, rest = make(kind="digits", **FEW), make(kind="digits", unlabelled="rest", **FEW)
    one, other = plain.load(), rest.load()
    assert one.digest != other.digest
    for before, after in zip((*one.train, *one.val), (*other.train, *other.val), strict=True):
        assert torch.equal(before, after)


@pytest.fixture
def parts(tmp_path: Path, photo_folder: PhotoFolder) -> Path:
    """Return a folder with train and test parts, and one of images that nobody has named."""
    photo_folder(tmp_path / "set/train", {"ant": 9, "bee": 9})
    (tmp_path / "set/test").mkdir()
    (tmp_path / "more/deep").mkdir(parents=True)
    for name in ("ant", "bee"):
        (tmp_path / "set/test" / name).mkdir()
    for number, image in enumerate(photos(10, 8, seed=50)):
        where = f"set/test/{'ab'[number % 2]}" if number < 4 else "more/deep"
        where = where.replace("/a", "/ant").replace("/b", "/bee")
        Image.fromarray(image).save(tmp_path / where / f"{number}.png")
    return tmp_path


def folder(make: Make, parts: Path, **values: Any) -> ImageSource:
    root = str(parts / "set")
    return make(kind="folder", root=root, image_size=8, val_per_class=2, **values)


def test_a_folder_needs_no_class_folders(parts: Path, make: Make) -> None:
    Image.fromarray(photos(1, 8, seed=60)[0]).save(parts / "more/one.png")
    images = folder(make, parts, unlabelled=str(parts / "more")).load()
    assert images.num_unlabelled == 7
    assert images.unlabelled is not None
    assert images.unlabelled.shape[1:] == images.train.images.shape[1:]
    assert pixels(images.unlabelled) >= {
        np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes() for image in photos(1, 8, seed=60)
    }
    assert not any("left out" in text for text in images.warnings)


@pytest.mark.parametrize("color", ["auto", "grey"])
def test_neither_test_nor_validation_images_are_among_them(
    parts: Path, make: Make, color: str
) -> None:
    source = folder(make, parts, unlabelled=str(parts), color=color)
    images = source.load()
    assert not pixels(images.unlabelled) & held_out(source, images)
    # 18 of train, of which 4 are drawn to validate, and the 6 of nobody.
    assert images.num_unlabelled == 20
    expected = "8 images of data.unlabelled left out: the same as a validation or a test image"
    assert expected in images.warnings
    again = source.redrawn(3).load(source.read_pools())
    assert not pixels(again.unlabelled) & held_out(source, again)


def test_a_test_image_that_lies_in_the_training_part_is_left_out_of_the_rest(
    parts: Path, make: Make
) -> None:
    copy = parts / "set/train/ant/copy.png"
    shutil.copy(parts / "set/test/ant/0.png", copy)
    source = folder(make, parts, unlabelled="rest", train_per_class=2)
    for seed in range(1, 9):
        images = source.redrawn(seed).load()
        assert not pixels(images.unlabelled) & held_out(source, images)


def test_the_test_part_itself_is_refused(parts: Path, make: Make) -> None:
    message = (
        r"^data\.unlabelled: got 4 images, all of them validation or test images, "
        "expected other images$"
    )
    with pytest.raises(InputError, match=message):
        folder(make, parts, unlabelled=str(parts / "set/test")).load()


def test_files_that_cannot_be_read_are_told(parts: Path, make: Make) -> None:
    (parts / "more/broken.png").write_bytes(b"nothing")
    images = folder(make, parts, unlabelled=str(parts / "more")).load()
    (told,) = [text for text in images.warnings if "left out, such as" in text]
    assert told.startswith("1 file of data.unlabelled left out, such as broken.png: ")


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Return a file with a test part, and another one with some of its images."""
    images, labels = photos(40, 8), np.arange(40) % 2
    np.savez(
        tmp_path / "set.npz",
        x_train=images[:24],
        y_train=labels[:24],
        x_test=images[24:32],
        y_test=labels[24:32],
    )
    np.savez(tmp_path / "more.npz", x=images[28:], y=labels[28:], text=np.array(["a"]))
    return tmp_path


def array(make: Make, arrays: Path, unlabelled: str) -> ImageSource:
    root = str(arrays / "set.npz")
    return make(kind="npz", root=root, val_per_class=2, unlabelled=unlabelled)


@pytest.mark.parametrize("color", ["rgb", "auto"])
def test_test_images_are_known_in_colour_too(tmp_path: Path, make: Make, color: str) -> None:
    grey, coloured = photos(40, 8)[..., 0], photos(40, 8)
    labels = np.arange(40) % 2
    train = grey if color == "rgb" else coloured
    parts = {"x_train": train[:24], "y_train": labels[:24]}
    parts |= {"x_test": grey[24:32], "y_test": labels[24:32], "x_more": grey[24:]}
    np.savez(tmp_path / "set.npz", **parts)  # type: ignore[arg-type]
    root = str(tmp_path / "set.npz")
    source = make(kind="npz", root=root, val_per_class=2, color=color, unlabelled=f"{root}:x_more")
    images = source.load()
    assert images.channels == 3
    assert images.num_unlabelled == 8
    assert not pixels(images.unlabelled) & held_out(source, images)


def test_an_array_of_a_file_is_read_without_its_test_images(arrays: Path, make: Make) -> None:
    source = array(make, arrays, f"{arrays}/more.npz:x")
    images = source.load()
    assert images.num_unlabelled == 8
    assert not pixels(images.unlabelled) & held_out(source, images)
    assert any(text.startswith("4 images of data.unlabelled left out") for text in images.warnings)


@pytest.mark.parametrize(
    ("unlabelled", "message"),
    [
        ("set.npz:x_test", "got 8 images, all of them validation or test images, expected other"),
        ("more.npz:z", "got 'z', expected one of the arrays in more.npz: text, x, y"),
        ("more.npz:text", "got text of type <U1, expected numbers"),
        ("more.npz:y", "got y of shape (12,), expected [n, h, w], [n, h, w, c] or"),
        ("mor.npz:x", "got @/mor.npz:x, expected an .npz file that exists"),
        ("more", "got 'more', expected rest, a folder of images, or an array of a file such as"),
        ("rest", "got rest, but no image is left, expected fewer labelled images, or a folder"),
    ],
)
def test_what_cannot_be_is_refused(
    unlabelled: str, message: str, arrays: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(arrays)
    with pytest.raises(InputError) as caught:
        array(make, arrays, unlabelled).load()
    assert str(caught.value).startswith(f"data.unlabelled: {message.replace('@', str(arrays))}")


def test_a_folder_of_a_similar_name_is_suggested(parts: Path, make: Make) -> None:
    with pytest.raises(InputError, match=rf"Did you mean '{parts}/more'\?$"):
        folder(make, parts, unlabelled=f"{parts}/mor").load()
    (parts / "empty").mkdir()
    with pytest.raises(InputError, match=r"got no image in .*empty, expected rest, a folder"):
        folder(make, parts, unlabelled=f"{parts}/empty").load()


def test_a_file_without_the_name_of_an_array_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=r"expected the name of an array too, such as a\.npz:x"):
        make(kind="digits", unlabelled="a.npz")


def test_paths_are_made_absolute_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert moved_along(None) is None
    assert moved_along("rest") == "rest"
    assert moved_along("more") == f"{tmp_path}/more"
    assert moved_along("./rest") == f"{tmp_path}/rest"
    assert moved_along("a/more.npz:x") == f"{tmp_path}/a/more.npz:x"


def test_they_reach_the_workers_and_the_first_line(make: Make) -> None:
    images = make(kind="digits", unlabelled="rest", **FEW).load()
    placed = PlacedImages.of(images)
    assert placed.described.unlabelled is None
    there = placed.images().unlabelled
    assert there is not None
    assert images.unlabelled is not None
    assert torch.equal(there, images.unlabelled)
    line = introduction("few", images, None)
    assert f", {images.num_unlabelled} images without labels); starting Ray" in line
