"""What stands among class folders and is no class is left out and told, or refused."""

from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image

from distill_tune.datasets.folder_tree.tree import read_tree
from distill_tune.errors import InputError
from tests.field.trees import names, pictures, source


def message(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tree(root)
    return str(caught.value)


@pytest.mark.parametrize("copy", ["brain_set", "PlantVillage/PlantVillage", "Images"])
def test_a_copy_of_the_class_folders_is_left_out_and_told(copy: str, tmp_path: Path) -> None:
    pictures(tmp_path, "no", "yes")
    for name in ("no", "yes"):
        copytree(tmp_path / name, tmp_path / copy / name)
    data = source(tmp_path).load()
    assert data.classes == ("no", "yes")
    assert len(data.train.labels) + len(data.val.labels) == 10
    folder = copy.split("/", maxsplit=1)[0]
    assert data.warnings == (
        f"{folder} is not used: a copy of 2 folders beside it, judging by file names",
    )
    assert len(source(tmp_path, train=".").load().classes) == 3


def test_a_copy_is_left_out_in_parts_too(tmp_path: Path) -> None:
    pictures(tmp_path, "train/no", "train/yes", "test/no", "test/yes")
    for part in ("train", "test"):
        copytree(tmp_path / part / "no", tmp_path / part / "old/no")
        copytree(tmp_path / part / "yes", tmp_path / part / "old/yes")
    data = source(tmp_path).load()
    assert data.classes == ("no", "yes")
    assert any(text.startswith("train/old is not used") for text in data.warnings)


def test_other_images_in_folders_of_the_same_names_are_refused(tmp_path: Path) -> None:
    names(tmp_path, "no/{0-3}.png", "yes/{0-3}.png", "more/no/{4-6}.png", "more/yes/{4-6}.png")
    assert message(tmp_path) == (
        f"data.root: got no and yes in {tmp_path}/more, and folders of these names in {tmp_path} "
        "too, with other files, expected one folder for each class: these look like two data sets, "
        "or two parts of one (data.train: . takes these folders as classes all the same; "
        f"data.root: {tmp_path}/more reads the inner one)"
    )


def test_numbered_classes_with_numbered_pieces_hold_no_copies(tmp_path: Path) -> None:
    files = [f"{name}/{piece}/{{0-2}}.png" for name in range(3) for piece in range(3)]
    tree = read_tree(names(tmp_path, *files))
    assert len(tree.parts["train"].class_folders()) == 3


@pytest.mark.parametrize("name", ["Annotations", "ImageSets", "GT"])
def test_what_describes_images_and_holds_none_is_left_out(name: str, tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee")
    names(tmp_path, f"{name}/ant/{{0-3}}.mat", f"{name}/all.txt")
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee")
    assert data.warnings == (
        f"{name} is not used: it holds no images, and its name says that it describes other images",
    )


def test_the_images_beside_annotations_are_gone_down_to(tmp_path: Path) -> None:
    names(tmp_path, "101_Objects/ant/{0-3}.jpg", "101_Objects/bee/{0-3}.jpg")
    names(tmp_path, "Annotations/ant/{0-3}.mat", "Annotations/bee/{0-3}.mat")
    train = read_tree(tmp_path).parts["train"]
    assert train.classes == tmp_path / "101_Objects"
    assert list(train.left_out) == [tmp_path / "Annotations"]


def test_an_empty_folder_of_any_other_name_is_still_a_class_without_images(tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee")
    (tmp_path / "cow").mkdir()
    with pytest.raises(InputError, match="got 0 images of class 'cow'"):
        source(tmp_path).load()


def shrunk(root: Path, folder: str, size: int) -> None:
    (root / folder).mkdir()
    for name in ("ant", "bee"):
        for path in (root / name).iterdir():
            Image.open(path).resize((size, size)).save(root / folder / f"{path.stem}.jpg")


@pytest.mark.parametrize(
    ("folder", "size"), [("thumbs", 4), ("_thumbs", 8), ("Thumbnails", 8), ("thumbnails", 4)]
)
def test_thumbnails_beside_the_classes_are_passed_over(
    folder: str, size: int, tmp_path: Path
) -> None:
    pictures(tmp_path, "ant", "bee")
    shrunk(tmp_path, folder, size)
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee")
    assert data.origin.endswith(f"passed over: {folder}")
    assert data.warnings == ()


def test_thumbs_that_may_be_a_class_are_one_and_told(tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee")
    shrunk(tmp_path, "thumbs", 8)
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee", "thumbs")
    assert data.warnings[0].startswith("thumbs is taken as a class, although small copies")


NESTED = [
    *[f"X/X/{part}/{name}/{{0-3}}.png" for part in ("train", "valid") for name in ("ant", "bee")],
    "test/test/{0-3}.jpg",
]


def test_parts_below_one_folder_are_gone_down_to(tmp_path: Path) -> None:
    tree = read_tree(names(tmp_path, *NESTED))
    assert {part: found.classes for part, found in tree.parts.items()} == {
        "train": tmp_path / "X/X/train",
        "val": tmp_path / "X/X/valid",
    }
    assert tree.unused == (tmp_path / "test",)


def test_parts_beside_other_images_are_refused_with_their_root(tmp_path: Path) -> None:
    names(tmp_path, *NESTED, "cow/{0-3}.png")
    assert message(tmp_path) == (
        f"data.root: got train and valid in {tmp_path}/X/X beside cow and test (in {tmp_path}), "
        f"expected either folders of classes, or of parts (data.train: . takes the folders in "
        f"{tmp_path.name} as classes all the same, data.root: {tmp_path}/X/X reads the parts)"
    )
