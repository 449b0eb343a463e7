"""What a folder that cannot be used says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distill_tune.datasets import ImageSource
from distill_tune.errors import InputError

Make = Callable[..., ImageSource]
PhotoFolder = Callable[[Path, dict[str, int]], Path]


def message(source: ImageSource) -> str:
    with pytest.raises(InputError) as caught:
        source.load()
    return str(caught.value)


def test_a_missing_directory_is_told_with_where_it_was_looked_for(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    assert message(make(kind="folder", root="flower")) == (
        "data.root: got 'flower', expected a directory with a folder of images for each class "
        f"(looked for {tmp_path / 'flower'})"
    )
    assert "nowhere/at/all" in message(make(kind="folder", root="nowhere/at/all"))


def test_a_near_name_is_suggested(tmp_path: Path, make: Make) -> None:
    (tmp_path / "flowers").mkdir()
    text = message(make(kind="folder", root=str(tmp_path / "flower")))
    assert text.endswith(f"Did you mean '{tmp_path / 'flowers'}'?")


def test_a_directory_without_class_folders_is_refused(tmp_path: Path, make: Make) -> None:
    text = message(make(kind="folder", root=str(tmp_path)))
    assert text == (
        f"data.root: got {tmp_path} without sub-folders, expected a folder of images for each class"
    )


@pytest.mark.parametrize(
    ("root", "where"),
    [
        ("", "data.root: got {root} without sub-folders, expected a folder of images for each "),
        ("images", "data.root: got one class only: 'images', expected two classes or more "),
        ("train", "got images and no class folders in test and train (in {root}), expected train/"),
    ],
)
def test_images_that_are_not_sorted_are_told_what_may_sort_them(
    root: str, where: str, tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    source = make(kind="folder", root=str(tmp_path), image_size=8)
    photo_folder(tmp_path, {root or "0": 6})
    if root == "train":
        photo_folder(tmp_path, {"test": 2})
    elif not root:
        for path in list((tmp_path / "0").iterdir()):
            path.rename(tmp_path / path.name)
        (tmp_path / "0").rmdir()
    (tmp_path / "labels.csv").write_text("file,label\n")
    text = message(source)
    assert where.format(root=tmp_path) in text
    assert (
        "(labels in a table such as labels.csv are not read: copy the files into a folder for each "
        "label)"
    ) in text
    for number, path in enumerate(sorted((tmp_path / root).glob("*.png"))):
        path.rename(path.with_name(f"{'cat' if number % 2 else 'dog'}.{number}.png"))
    text = message(source)
    assert where.format(root=tmp_path) in text
    assert "(the files' names begin with cat, dog: one folder for each of these)" in text


def test_the_lines_of_the_readme_sort_files_by_a_table(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[2] / "search_spaces/README.md"
    lines = readme.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    photo_folder(tmp_path, {"images": 12})
    rows = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(12))
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
    monkeypatch.chdir(tmp_path)
    exec(lines, {})  # noqa: S102 - of our own README
    data = make(kind="folder", root="sorted", image_size=8).load()
    assert data.classes == ("a", "b")


@pytest.mark.parametrize("part", ["val", "test"])
def test_classes_that_train_does_not_have_are_named_before_the_search(
    part: str, tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path / "train", {"ant": 6, "bee": 6})
    photo_folder(tmp_path / part, {"ant": 2, "bee": 2, "cat": 2, "dog": 2})
    assert message(make(kind="folder", root=str(tmp_path), image_size=8)) == (
        f"data.root: got classes in {part} that train does not have: 'cat', 'dog', "
        "expected the classes of train: 'ant', 'bee'"
    )


def test_parts_without_train_are_refused(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    photo_folder(tmp_path / "test", {"ant": 2, "bee": 2})
    assert "got test in" in message(make(kind="folder", root=str(tmp_path)))


def test_two_folders_for_one_part_are_refused(
    tmp_path: Path, photo_folder: PhotoFolder, make: Make
) -> None:
    for part in ("train", "val", "valid"):
        photo_folder(tmp_path / part, {"ant": 6, "bee": 6})
    assert "got both 'val' and 'valid' in" in message(make(kind="folder", root=str(tmp_path)))
