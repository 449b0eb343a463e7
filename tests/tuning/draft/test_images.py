"""Facts about images: the kind is recognised from a path, and the images are read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_tune.cli.options import option
from distill_tune.datasets.image_pool import Pool
from distill_tune.errors import InputError
from distill_tune.tuning.draft.images import colour_share, look_at
from distill_tune.tuning.draft.sources import source_of

RED, BLUE, GREY = (200, 30, 30), (30, 30, 200), (90, 90, 90)


def paint(
    folder: Path, colours: dict[str, tuple[int, int, int]], count: int, size: tuple[int, int]
) -> None:
    """Write images of a colour each, a little noisy, for every class."""
    noise = np.random.default_rng(0)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((*size, 3), colour) + noise.integers(-9, 9, (*size, 1))
            path = folder / name / f"{number}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    paint(tmp_path, {"red": RED, "blue": BLUE}, 5, (40, 90))
    paint(tmp_path, {"dark": (9, 9, 20)}, 7, (100, 80))
    (tmp_path / "red" / "broken.png").write_bytes(b"nothing")
    found = look_at(str(tmp_path))
    assert found.fields == {"kind": "folder", "root": str(tmp_path)}
    assert (found.classes, found.counts) == (("blue", "dark", "red"), (5, 7, 5))
    assert found.sides == (40, 40, 80)
    assert not found.is_grey
    assert found.colour_share > 0.9
    assert (found.flips, found.val_counts) == (None, None)
    assert found.warnings[-1].startswith("1 unreadable file left out, such as red/broken.png: ")
    assert found.pools.train.images.shape == (17, 3, 40, 40)
    assert not found.is_unbalanced
    assert str(found) == (
        "17 images of 3 classes, 5 to 7 of each, colour, 40 to 80 pixels, median 40; "
        "no separate parts"
    )


def test_the_path_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "one", {"a": RED, "b": BLUE}, 3, (8, 8))
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")
    assert look_at("../one").fields["root"] == str(tmp_path / "one")


def test_parts_of_a_folder(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        paint(tmp_path / part, {"a": GREY, "b": (20, 20, 20)}, count, (20, 20))
    found = look_at(str(tmp_path))
    assert (found.counts, found.val_counts, found.has_test) == ((6, 6), (3, 3), True)
    assert found.is_grey
    assert found.colour_share == 0
    assert str(found).endswith("6 of each, grey, 20 pixels; separate validation and test images")


def test_colour_that_says_nothing_of_the_class(tmp_path: Path) -> None:
    paint(tmp_path / "one", {"a": RED, "b": RED}, 20, (8, 8))
    both = tmp_path / "both"
    for name in "ab":
        (both / name).mkdir(parents=True)
        for number, colour in enumerate([RED, BLUE, GREY] * 7):
            Image.new("RGB", (8, 8), colour).save(both / name / f"{number}.png")
    assert look_at(str(both)).colour_share == pytest.approx(0, abs=1e-6)


def test_colours_of_few_images_explain_no_more_than_chance() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (90, 3, 4, 4), dtype=np.uint8)
    labels = np.arange(90) // 3
    shares = colour_share(Pool(colours, labels, tuple(map(str, range(30)))))
    assert shares < 0.25


def test_arrays_in_a_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (30, 12, 20), dtype=np.uint8)
    np.savez(
        tmp_path / "a.npz", x_train=images, y_train=[0, 1] * 15, x_test=images, y_test=[1] * 30
    )
    found = look_at(str(tmp_path / "a.npz"))
    assert found.fields == {"kind": "npz", "root": str(tmp_path / "a.npz")}
    assert (found.counts, found.sides, found.is_grey) == ((15, 15), (12, 12, 12), True)
    assert found.has_test


def test_a_kind_that_needs_no_path_is_named() -> None:
    found = look_at("digits")
    assert found.fields == {"kind": "digits"}
    assert (sum(found.counts), found.sides, found.flips) == (1797, (8, 8, 8), False)


def test_an_ambiguous_range_of_values_is_given_by_an_option(tmp_path: Path) -> None:
    values = np.linspace(0, 1.7, 20 * 64).reshape(20, 8, 8)
    np.savez(tmp_path / "a.npz", x=values, y=[0, 1] * 10)
    data = str(tmp_path / "a.npz")
    with pytest.raises(InputError) as refused:
        look_at(data)
    said = refused.value.spelled(option)
    assert said.startswith(f"--data {data}: got x with values in 0..1.7 and fractions, expected ")
    assert said.endswith("; --set data.value_range=VALUE gives it")
    found = look_at(data, ["data.value_range=[0, 1.5]"])
    assert found.fields == {"kind": "npz", "root": data, "value_range": [0, 1.5]}
    np.savez(tmp_path / "a.npz", x=values * np.nan, y=[0, 1] * 10)
    for given in ([], ["data.value_range=[0, 1.5]"]):
        with pytest.raises(InputError) as refused:
            look_at(data, given)
        said = refused.value.spelled(option)
        assert said.startswith("--data: got x with values that are infinite or not numbers (NaN), ")
        assert said.endswith("expected finite values")


def test_deep_files_below_zero_are_read_with_a_given_range(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.linspace(-3, 5 + number, 64, dtype=np.float32).reshape(8, 8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.tiff")
    with pytest.raises(InputError) as refused:
        look_at(str(tmp_path))
    said = refused.value.spelled(option)
    assert said.startswith("--data: got 8 files in train, none readable; the first: a/0.tiff: ")
    assert said.endswith("expected images; --set data.FIELD=VALUE gives such a field")
    found = look_at(str(tmp_path), ["data.value_range=[-3, 8]"])
    assert found.counts == (4, 4)
    assert found.warnings == ()


def test_folders_that_look_like_parts_are_named_by_an_option(tmp_path: Path) -> None:
    for part in ("train", "test"):
        paint(tmp_path / part, {"a": RED, "b": BLUE}, 3, (8, 8))
    with pytest.raises(InputError) as refused:
        look_at(str(tmp_path), ["data.train=nowhere"])
    assert refused.value.spelled(option).startswith("--set data.train: got 'nowhere', expected a ")
    found = look_at(str(tmp_path), ["data.train=.", "data.flip=false", "data.image_size=6"])
    assert (found.classes, found.counts, found.flips) == (("test", "train"), (6, 6), False)
    assert found.pools.train.images.shape[-1] == 6


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("search.seed=1", "--set: got 'search.seed=1', expected one of data.color, data.flip"),
        ("data.kind=npz", "--set: got 'data.kind=npz', expected one of data.color, data.flip"),
        ("data.flip", "--set: got 'data.flip', expected path=value"),
        ("data.flip=maybe", "--set data.flip=maybe: data.flip: got 'maybe' (text), expected"),
        ("data.train=x", "--set data.train=x: data: got 'train', expected one of the keys color"),
    ],
)
def test_an_assignment_that_does_not_fit_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        source_of("digits", [assignment])
    assert refused.value.spelled(option).startswith(message)


def test_a_known_range_is_reported(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.linspace(0, 4000, 64).reshape(8, 8).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    found = look_at(str(tmp_path))
    assert "0..4095" in found.range_words
    assert "value_range" not in found.fields


def test_a_public_data_set_is_named_with_its_root(tmp_path: Path) -> None:
    source, fields = source_of("mnist", [f"data.root={tmp_path}"])
    assert (source.kind, fields) == ("mnist", {"kind": "mnist", "root": str(tmp_path)})
    assert source_of("mnist")[1] == {"kind": "mnist"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "--data: got 'nothing', expected a folder of one folder per class, an .npz"),
        ("digit", "Did you mean 'digits'?"),
        ("image", "Did you mean 'images'?"),
        (
            "a.zip",
            "expected a folder: unpack it first, for example python -m zipfile -e a.zip images",
        ),
        ("a.txt", "--data: got 'a.txt', expected a folder of one folder per class"),
        ("bad.npz", "--data: got "),
        ("images", "--data: got "),
    ],
)
def test_what_is_no_data_set_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("a.zip", "a.txt", "bad.npz"):
        Path(file).write_bytes(b"nothing")
    Path("images").mkdir()
    with pytest.raises(InputError) as refused:
        look_at(name)
    assert message in refused.value.spelled(option)
