"""Which folders are parts, which are classes, and which are neither."""

import os
from pathlib import Path

import pytest

from distill_tune.datasets.folder_tree.part_names import role
from distill_tune.datasets.folder_tree.tree import read_tree
from distill_tune.errors import InputError
from tests.field.trees import names, pictures


def parts(root: Path) -> dict[str, str]:
    """Return the folder of the classes of each part."""
    tree = read_tree(root)
    return {part: os.path.relpath(found.classes, root) for part, found in tree.parts.items()}


def message(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tree(root)
    return str(caught.value)


CLASSES = "{0-4}.png"


def split(*folders: str, classes: tuple[str, ...] = ("ant", "bee")) -> list[str]:
    return [f"{folder}/{name}/{CLASSES}" for folder in folders for name in classes]


PARTS = {
    "a brain tumour set": (split("Training", "Testing"), ("Training", None, "Testing")),
    "Intel's scenes": (
        [*split("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred/{0-5}.jpg"],
        ("seg_train/seg_train", None, "seg_test/seg_test"),
    ),
    "cats and dogs": (
        split("training_set/training_set", "test_set/test_set"),
        ("training_set/training_set", None, "test_set/test_set"),
    ),
    "chest X-rays": (
        split("chest/train", "chest/val", "chest/test", "chest/chest/train", "chest/__MACOSX/x"),
        ("chest/train", "chest/val", "chest/test"),
    ),
    "food": (
        split("training", "validation", "evaluation"),
        ("training", "validation", "evaluation"),
    ),
    "years": (split("train2017", "val2017"), ("train2017", "val2017", None)),
    "words joined": (split("TrainSet", "DevSet", "TestSet"), ("TrainSet", "DevSet", "TestSet")),
    "images first": (split("images_train", "images_val"), ("images_train", "images_val", None)),
    "shouted": (split("TRAIN", "VALID", "TEST"), ("TRAIN", "VALID", "TEST")),
    "hold-out": (split("train", "hold_out"), ("train", None, "hold_out")),
    "eval beside test": (split("train", "eval", "test"), ("train", "eval", "test")),
    "all at once": (split("train", "eval", "holdout"), ("train", "eval", "holdout")),
    "eval alone": (split("train", "eval"), ("train", None, "eval")),
    "ImageNet": (
        split("train", "val", classes=("n01440764", "n01443537")),
        ("train", "val", None),
    ),
    "Tiny ImageNet": (
        [
            *("train/n01/images/n01_{0-4}.JPEG", "train/n02/images/n02_{0-4}.JPEG"),
            *("val/images/val_{0-4}.JPEG", "test/images/test_{0-4}.JPEG"),
        ],
        ("train", None, None),
    ),
    "another test set": (
        [*split("fruits/Training", "fruits/Test"), "fruits/test-multiple/{0-4}.jpg"],
        ("fruits/Training", None, "fruits/Test"),
    ),
    "a test of one class": (
        [*split("train"), "test/ant/{0-3}.png"],
        ("train", None, "test"),
    ),
    "a plain name beside others": (split("train", "train_extra", "test"), ("train", None, "test")),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_known_by_their_names_and_depth(name: str, tmp_path: Path) -> None:
    files, expected = PARTS[name]
    found = parts(names(tmp_path, *files))
    assert tuple(found.get(part) for part in ("train", "val", "test")) == expected


CLASSES_ONLY = {
    "a class called train": ["car/{0-4}.png", "plane/{0-4}.png", "train/{0-4}.png"],
    "kinds of trains": ["freight_train/{0-4}.png", "steam_train/{0-4}.png"],
    "a test tube": ["train/{0-4}.png", "test tube/{0-4}.png", "car/{0-4}.png"],
    "tickets": ["valid/{0-4}.png", "invalid/{0-4}.png"],
    "trains by year": ["freight_train/{1-2}/1.png", "steam_train/{5-6}/1.png"],
    "trains by year and a tram": ["freight_train/a/1.png", "freight_train/b/1.png", "tram/1.png"],
    "the same numbers": ["ant/img_{0-9}.png", "bee/img_{0-9}.png"],
    "numbers of one split": ["ant/train_{0-9}.png", "bee/train_{0-9}.png"],
    "faces with and without": ["with_mask/{0-9}.png", "without_mask/{0-9}.png"],
    "boxes": ["bottles/{0-9}.png", "boxes/{0-9}.png", "edges/{0-9}.png"],
    "kinds below": ["dog/poodle/{0-4}.png", "dog/boxer/{0-4}.png", "cat/manx/{0-4}.png"],
    "one folder in each": ["ant/images/{0-4}.png", "bee/images/{0-4}.png"],
    "annotations without images": [
        *("ant/images/{0-4}.png", "ant/annotations/{0-4}.xml"),
        *("bee/images/{0-4}.png", "bee/annotations/{0-4}.xml"),
    ],
    "three of the same name": ["ant/{0-2}.png", "bee/{0-2}.png"],
}


@pytest.mark.parametrize("name", CLASSES_ONLY)
def test_folders_that_may_well_be_classes_are(name: str, tmp_path: Path) -> None:
    assert parts(names(tmp_path, *CLASSES_ONLY[name])) == {"train": "."}


def test_classes_may_stand_in_a_folder_alone(tmp_path: Path) -> None:
    assert parts(names(tmp_path, *split("set/PetImages"))) == {"train": "set/PetImages"}


OTHERS = ("a_x", "ph", "q7b", "zz-top")
REFUSED = {
    "flat train and test": (
        ["train/cat.{0-4}.png", "train/dog.{5-9}.png", "test/{0-4}.png"],
        ("got images and no class folders in test and train (in {root}), expected "
        "train/<class>/...: a folder of images for each class (the files' names begin with cat, "
        "dog: one folder for each of these); data.train: . takes these folders as classes all the "
        "same"),
    ),
    "flat in a folder of the name": (["train/train/a{0-4}.jpg", "test1/test1/{0-4}.jpg"], "class"),
    "COCO": (
        ["train2017/{0-4}.jpg", "val2017/{0-4}.jpg", "annotations/all.json"],
        "got images and no class folders in train2017 and val2017",
    ),
    "two worlds": (
        ["trainA/{0-4}.jpg", "trainB/{0-4}.jpg", "testA/{0-4}.jpg", "testB/{0-4}.jpg"],
        "got images and no class folders in testA, testB, trainA and trainB",
    ),
    "flat train only": ([*split("test"), "train/{0-4}.jpg"], "no class folders in train"),
    "a test part alone": (split("Testing"), "got Testing in {root}, expected a train folder"),
    "hospitals": (
        split("north", "south", "west"),
        ("got north, south and west in {root} that each hold the same folders: ant and bee, "
        "expected folders of classes: these look like parts of the data, not classes; data.train: "
        ". takes these folders as classes all the same; data.train, data.val and data.test name "
        "the folders of the parts"),
    ),
    "almost the same": (
        split("north", classes=("ant", "bee", "cat")) + split("south", classes=("ant", "bee")),
        "that each hold the same folders: ant and bee",
    ),
    "parts of each class": (
        split("ant", "bee", classes=("train", "test")),
        "these look like parts inside classes, or several data sets; data.train: . takes",
    ),
    "masks of each class": (
        split("ant", "bee", classes=("images", "masks")),
        "these look like images beside masks or other descriptions of them",
    ),
    "images and masks": (["images/{0-4}.png", "masks/{0-4}.png"], "got files of the same names in"),
    "images and annotations": (["JPEGImages/{0-4}.jpg", "Annotations/{0-4}.xml"], "same names in"),
    "masks with a word more": (["img/{0-4}.jpg", "gt/{0-4}_mask.png"], "same names in img and gt"),
    "medical ones": (["imagesTr/{0-4}.png", "labelsTr/{0-4}.png"], "same names in imagesTr and"),
    "YOLO's": (
        [
            *("images/train/{0-4}.jpg", "images/val/{5-9}.jpg"),
            *("labels/train/{0-4}.png", "labels/val/{5-9}.png"),
        ],
        "got images and labels in {root} that each hold the same folders: train and val",
    ),
    "Roboflow's": (
        [
            *("train/images/{0-4}.jpg", "train/labels/{0-4}.txt"),
            *("valid/images/{5-9}.jpg", "valid/labels/{5-9}.txt"),
        ],
        "got files of the same names in images and labels (in {root}/train)",
    ),
    "any pairs": (
        [f"{folder}/{name}.png" for folder in ("left", "right") for name in OTHERS],
        "got files of the same names in left and right",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_folder_of_classes_is_refused_with_what_was_seen(
    name: str, tmp_path: Path
) -> None:
    files, said = REFUSED[name]
    text = message(names(tmp_path, *files))
    assert text.startswith("data.root: got ")
    assert said.format(root=tmp_path) in text


def test_masks_are_known_by_their_few_colours_too(tmp_path: Path) -> None:
    from PIL import Image

    pictures(tmp_path, "xray", "mask")
    assert parts(tmp_path) == {"train": "."}
    for path in (tmp_path / "mask").iterdir():
        Image.new("1", (8, 8)).save(path)
    assert "files of the same names in xray and mask" in message(tmp_path)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *[(name, "train") for name in ("train", "X_train", "Train-1", "trainset", "imagesTr")],
        *[(name, "val") for name in ("valid_set", "DEV", "val2", "Validation Data")],
        *[(name, "test") for name in ("testing", "test1", "TestImages", "x-tests", "imgs.test")],
        *[(name, "holdout") for name in ("holdout", "Hold-Out", "held_out", "HoldOut")],
        *[(name, "eval") for name in ("eval", "Evaluation", "eval_set")],
        ("trainval", "train"),
        *[(name, None) for name in ("strain", "contest", "interval", "invalid", "trainer")],
        *[(name, None) for name in ("train_test", "device", "evaluate me not", "latest", "")],
    ],
)
def test_only_whole_words_name_a_part(name: str, part: str | None) -> None:
    expected = "eval" if name == "evaluate me not" else part
    assert role(name) == expected
