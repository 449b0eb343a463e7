"""Images saved anew in another split are told; images that are only alike are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imagehash import phash
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from distill_tune.datasets.image_pool import Bytes, Pool
from distill_tune.datasets.images import near_duplicates
from distill_tune.datasets.images.near_duplicates import near_copies, near_pairs
from tests.field.trees import source


def photographs(num: int, size: int) -> list[Image.Image]:
    """Return pieces of photographs that do not overlap, none of them mere sky."""
    pieces = [
        Image.fromarray(photo).crop((x, y, x + size, y + size))
        for photo in load_sample_images().images
        for y in range(0, 427 - size, size)
        for x in range(0, 640 - size, size)
    ]
    pieces = [piece for piece in pieces if np.asarray(piece).std() > 40]
    return [pieces[place] for place in np.random.default_rng(0).permutation(len(pieces))[:num]]


def pool(images: Bytes) -> Pool:
    return Pool(images, np.zeros(len(images), dtype=np.int64), ("all",))


def told(train: Bytes, val: Bytes) -> tuple[str, ...]:
    return near_copies(pool(train), pool(val), (pool(val), np.zeros(0, dtype=np.int64)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((48, 48), Image.Resampling.LANCZOS),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "the same": lambda image: image,
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.5),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [16, 32])
def test_a_photograph_saved_anew_is_told(change: str, size: int, tmp_path: Path) -> None:
    images = photographs(60, 64)
    for number, image in enumerate(images):
        part = "train" if number < 40 else "val"
        folder = tmp_path / part / ("ant", "bee")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number}.png")
    for number in (3, 6):
        changed = CHANGES[change](images[number])
        changed.save(tmp_path / f"val/ant/copy{number}.jpg", quality=90)
    assert source(tmp_path, image_size=size).load().warnings == (
        (
            "2 validation images are nearly the same as one in train, such as val/ant/copy3.jpg "
            "(like train/bee/3.png)"
        ),
    )


def test_test_images_that_are_drawn_are_compared_too(tmp_path: Path) -> None:
    for number, image in enumerate(photographs(20, 32)):
        for folder in ("ant", "bee"):
            (tmp_path / folder).mkdir(exist_ok=True)
        image.save(tmp_path / ("ant", "bee")[number % 2] / f"{number}.png")
        image.save(tmp_path / ("ant", "bee")[number % 2] / f"{number} again.jpg", quality=95)
    said = source(tmp_path, image_size=32).load().warnings
    assert [text.partition(", such as ")[0].split(" ", 1)[1] for text in said] == [
        "validation images are nearly the same as one in train",
        "test images are nearly the same as one in train",
    ]


@pytest.mark.parametrize("size", [8, 16, 64])
def test_digits_are_alike_and_no_copies(size: int) -> None:
    images = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    scaled = [Image.fromarray(image).resize((size, size)) for image in images]
    every = np.stack([np.asarray(image) for image in scaled])[:, None]
    assert told(every[:1200], every[1200:]) == ()


def test_a_whole_set_of_few_or_plain_images_says_nothing() -> None:
    plain = (
        np.full((5, 3, 16, 16), 7, dtype=np.uint8)
        + np.arange(5, dtype=np.uint8)[:, None, None, None]
    )
    assert told(plain[:3], plain[3:]) == ()
    assert told(plain[:1], plain[1:2]) == ()


def test_what_is_the_same_in_every_pixel_is_told_once(tmp_path: Path) -> None:
    for number, image in enumerate(photographs(24, 32)):
        for part in ("train", "val"):
            folder = tmp_path / part / ("ant", "bee")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            if part == "train" or number < 4:
                image.save(folder / f"{number}.png")
    said = source(tmp_path, image_size=32).load().warnings
    assert said
    assert not any("nearly" in text for text in said)


@pytest.mark.parametrize("size", [12, 31, 32, 33, 64])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_hashes_are_those_of_the_library(size: int, mode: str) -> None:
    images = [piece.resize((size, size)).convert(mode) for piece in photographs(24, 64)]
    pixels = np.stack([np.atleast_3d(np.asarray(image)) for image in images]).transpose(0, 3, 1, 2)
    found = near_duplicates._fingerprints(pixels, np.arange(len(images)))
    expected = [int(str(phash(image)), 16) for image in images]
    assert [int.from_bytes(one.tobytes(), "big") for one in found.hashes] == expected


def test_pairs_are_the_same_however_many_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.stack([np.asarray(piece) for piece in photographs(40, 32)]).transpose(0, 3, 1, 2)
    brighter = np.minimum(images[10:20].astype(np.int64) + 9, 255).astype(np.uint8)
    said: list[str] = []
    whole = list(near_pairs([images, brighter], said.append))
    assert whole == [(10 + number, 40 + number) for number in range(10)]
    assert said == ["hashing image 1 of 50", "comparing image 1 of 50"]
    monkeypatch.setattr(near_duplicates, "_CHUNK", 150)
    assert list(near_pairs([images, brighter], said.append)) == whole
    assert said[-2:] == ["comparing image 46 of 50", "comparing image 49 of 50"]
