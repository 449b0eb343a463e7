"""Folders of the same names everywhere: pieces of classes are read, parts and pairs are refused."""

from pathlib import Path

import pytest
from PIL import Image

from distill_tune.datasets.folder_tree.tree import read_tree
from distill_tune.errors import InputError
from tests.field.trees import names, pictures, source

PIECES = {
    "sides": (("cat", "dog"), ("left", "right")),
    "zoom": (("benign", "malignant"), ("40X", "100X", "200X")),
    "years": (("cat", "dog"), ("2019", "2020")),
    "months": (("cat", "dog"), ("2019-01", "2019-02")),
    "people": (("c0", "c1", "c2"), ("id0", "id1", "id2")),
    "sessions": (("cat", "dog", "fox"), ("s1", "s2")),
    "parts of a scan": (("sick", "well"), ("part_1", "part_2")),
    "views": (("car", "van"), ("front view", "back view", "side_view")),
    "digits": (("0", "1", "2"), ("0", "1", "2")),
}


def message(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tree(root)
    return str(caught.value)


def tree(root: Path, outer: tuple[str, ...], inner: tuple[str, ...]) -> Path:
    return names(root, *[f"{one}/{other}/{{0-3}}.png" for one in outer for other in inner])


@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_classes_are_read_and_told(name: str, tmp_path: Path) -> None:
    outer, inner = PIECES[name]
    found = read_tree(tree(tmp_path, outer, inner))
    assert found.parts["train"].classes == tmp_path
    assert len(found.warnings) == 1
    assert f"such as {outer[0]}" in found.warnings[0]


def test_how_pieces_were_read_is_told_with_the_field_that_says_otherwise(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1", "cat/2", "dog/1", "dog/2", "dog/3")
    data = source(tmp_path).load()
    assert data.classes == ("cat", "dog")
    assert data.warnings == (
        (
            "cat and dog are taken as classes, although each holds the same folders (1 and 2), "
            "whose images are taken together: if these are the classes, data.train names the "
            "folder of one part, such as cat"
        ),
    )
    assert source(tmp_path, train=".").load().warnings == ()


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (
            ("animals/ant", "animals/bee", "plants/oak", "plants/elm"),
            "animals/ant, animals/bee, plants/elm, plants/oak are folders inside a class, whose",
        ),
        (
            ("a", "a/sub1", "a/sub2", "b", "b/sub1", "b/sub2"),
            "a/sub1, a/sub2, b/sub1, b/sub2 are folders inside a class, whose images are taken",
        ),
        (("dog", "dog/puppies", "cat"), "dog/puppies is a folder inside a class, whose images are"),
        (("set/dog/x", "set/dog/y", "set/cat"), "set/dog/x, set/dog/y are folders inside a class"),
    ],
)
def test_folders_inside_classes_are_told_with_how_to_have_them_as_classes(
    folders: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    pictures(tmp_path, *folders)
    (warning,) = source(tmp_path).load().warnings
    assert warning.startswith(said)
    assert "to have such folders as classes, move them side by side into one folder" in warning
    is_root = not folders[0].startswith("set")
    assert warning.endswith("; data.train: . says that this is meant") == is_root
    assert not is_root or source(tmp_path, train=".").load().warnings == ()


def test_a_single_folder_in_each_class_is_usual(tmp_path: Path) -> None:
    pictures(tmp_path, "ant/images", "bee/pictures", "cat")
    assert source(tmp_path).load().warnings == ()


def test_classes_that_differ_in_case_only_are_told(tmp_path: Path) -> None:
    pictures(tmp_path, "Cat", "cat", "dog")
    assert source(tmp_path).load().warnings == (
        "classes whose names differ only in case or in spaces around them: 'Cat' and 'cat'",
    )


REFUSED = {
    "words": (("male", "female"), ("smile", "neutral")),
    "one word": (("cat", "dog"), ("left", "other")),
    "folds": (("fold0", "fold1"), ("0", "1")),
    "numbered parts": (("train1", "train2"), ("0", "1", "2")),
    "WordNet": (("sketches", "photographs"), ("n01440764", "n01443537")),
    "numbered classes": (("north", "south"), ("class_0", "class_1")),
    "drivers": (("north", "south"), ("c0", "c1")),
    "letters": (("north", "south"), ("A", "B", "C")),
    "images below": (("amazon/images", "dslr/images"), ("bike", "mug")),
    "images deeper": (("set_a/a/images", "set_b"), ("bike", "mug")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_may_be_classes_are_refused_with_the_way_on_first(
    name: str, tmp_path: Path
) -> None:
    said = message(tree(tmp_path, *REFUSED[name]))
    assert "each hold the same folders" in said
    fields = said.partition("expected")[2]
    assert fields.index("data.train: .") < fields.index("data.val")


def test_images_beside_more_in_one_folder_are_compared(tmp_path: Path) -> None:
    """The birds of Caltech and UCSD: class folders in two places, one of them masks."""
    names(tmp_path, *[f"CUB/images/{name}/{{0-3}}.jpg" for name in ("001.a", "002.b")])
    names(tmp_path, *[f"segmentations/{name}/{{0-3}}.png" for name in ("001.a", "002.b")])
    names(tmp_path, "CUB/attributes/all.txt")
    assert "that each hold the same folders: 001.a and 002.b" in message(tmp_path)


def masks(root: Path, folder: str, name: str) -> None:
    (root / folder).mkdir(parents=True)
    for number in range(6):
        image = Image.new("L", (8, 8))
        image.paste(255, (0, 0, 2 + number, 5))
        image.save(root / folder / f"{name.format(number)}.png")


@pytest.mark.parametrize(
    ("images", "folder", "name"),
    [
        ("images", "masks", "mask_{}"),
        ("image", "label", "a{}_L"),
        ("imgs", "gts", "x{}"),
        ("images", "annotations/trimaps", "Abyssinian_{}"),
        ("701_StillsRaw", "LabeledApproved", "0016E5_{}_L"),
        ("Photos", "Ground Truth", "t{}"),
    ],
)
def test_masks_beside_images_are_refused_whatever_their_files_are_called(
    images: str, folder: str, name: str, tmp_path: Path
) -> None:
    pictures(tmp_path, images)
    masks(tmp_path, folder, name)
    seen = folder.split("/", maxsplit=1)[0]
    said = message(tmp_path)
    assert said.startswith(f"data.root: got images of few colours in {seen}, beside {images} (in ")
    assert "data.train: . takes these folders as classes all the same" in said


def test_images_in_class_folders_beside_masks_are_named_as_the_root(tmp_path: Path) -> None:
    pictures(tmp_path, "images/ant", "images/bee")
    masks(tmp_path, "masks", "m{}")
    assert f"data.root: {tmp_path}/images reads one folder" in message(tmp_path)


def test_masks_are_known_by_their_names_where_no_folder_is_named_for_images(tmp_path: Path) -> None:
    pictures(tmp_path, "xray")
    for path in sorted((tmp_path / "xray").iterdir()):
        path.rename(path.with_name(f"img_{path.name}"))
    masks(tmp_path, "mask", "mask_{}")
    assert "files of the same names in xray and mask" in message(tmp_path)


@pytest.mark.parametrize(
    "folders", [("photos", "labels"), ("face", "mask"), ("images", "drawings")]
)
def test_photographs_are_no_masks(folders: tuple[str, str], tmp_path: Path) -> None:
    for folder in folders:
        pictures(tmp_path, folder)
        for path in sorted((tmp_path / folder).iterdir()):
            path.rename(path.with_name(f"{folder.rstrip('s')}_{path.name}"))
    assert len(read_tree(tmp_path).parts["train"].class_folders()) == 2


def test_drawings_in_few_colours_beside_drawings_are_classes(tmp_path: Path) -> None:
    masks(tmp_path, "photos", "a{}")
    masks(tmp_path, "labels", "b{}")
    assert len(read_tree(tmp_path).parts["train"].class_folders()) == 2
