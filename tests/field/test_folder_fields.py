"""What is said of a folder that was read, and the fields that say what its names do not."""

from pathlib import Path

import pytest

from distill_tune.errors import InputError
from tests.field.trees import names, pictures, source
from tests.refusals import refused


def test_a_set_is_read_with_its_parts_and_says_so(tmp_path: Path) -> None:
    pictures(tmp_path, "Training/ant", "Training/bee", "Testing/ant", "Testing/bee")
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee")
    assert (len(data.train.labels), len(data.val.labels)) == (10, 2)
    assert data.origin == "train from Training, test from Testing, validation drawn from Training"
    assert data.warnings == ()


def test_images_without_labels_are_told_and_not_used(tmp_path: Path) -> None:
    pictures(tmp_path, "train/ant", "train/bee", "test", "pred/pred")
    data = source(tmp_path).load()
    assert data.origin == "train from train, validation and test drawn from train"
    assert data.warnings == (
        "pred is not used: a folder beside the parts; data.test can name it",
        (
            "test is not used: 6 images without class folders beside the parts; data.test can name "
            "it"
        ),
    )


def test_images_beside_the_class_folders_are_told(tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee", ".", "test")
    assert source(tmp_path).load().warnings == (
        "6 images beside the class folders are not used, such as 0.png",
        (
            "test is taken as a class, although images to test on are often kept in a folder of "
            "this name: if so, move it elsewhere"
        ),
    )


def test_masks_among_the_images_are_told(tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee")
    (tmp_path / "ant/1_mask.png").write_bytes((tmp_path / "ant/2.png").read_bytes())
    said = source(tmp_path, image_size=16).load().warnings
    told = "1 file is used although named like the mask of another image, such as ant/1_mask.png"
    assert told in said


def test_fields_say_what_the_names_do_not(tmp_path: Path) -> None:
    folders = [f"{year}/{name}" for year in (2021, 2022, 2023) for name in ("ant", "bee")]
    pictures(tmp_path / "years", *folders)
    with pytest.raises(InputError, match="each hold the same folders"):
        source(tmp_path / "years").load()
    data = source(tmp_path / "years", train="2021", val="2022", test="2023").load()
    assert data.classes == ("ant", "bee")
    assert (len(data.train.labels), len(data.val.labels)) == (12, 12)
    assert data.origin == "train from 2021, validation from 2022, test from 2023"
    assert source(tmp_path / "years", train=".").load().classes == ("2021", "2022", "2023")
    pictures(tmp_path, "elsewhere/ant", "elsewhere/bee", num=4)
    outside = source(tmp_path / "years", train="2021", test=str(tmp_path / "elsewhere")).load()
    assert outside.origin.startswith(f"train from 2021, test from {tmp_path / 'elsewhere'}")


def test_a_field_may_name_one_part_and_leave_the_others_to_be_found(tmp_path: Path) -> None:
    pictures(tmp_path, "train/ant", "train/bee", "north/ant", "north/bee", "test/ant", "test/bee")
    data = source(tmp_path, val="north").load()
    assert data.origin == "train from train, validation from north, test from test"
    assert data.warnings == ()
    pictures(tmp_path / "flat", "ant", "bee", "last/ant", "last/bee")
    assert source(tmp_path / "flat", test="last").load().classes == ("ant", "bee")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"train": "trian"},
            (
                "data.train: got 'trian', expected a folder that exists, its path relative "
                "to {root}. Did you mean 'train'?"
            ),
        ),
        ({"val": "train/ant"}, "data.val: got {root}/train/ant without sub-folders, expected"),
    ],
)
def test_a_field_that_names_no_such_folder_is_refused(
    values: dict[str, str], said: str, tmp_path: Path
) -> None:
    pictures(tmp_path, "train/ant", "train/bee")
    with pytest.raises(InputError) as caught:
        source(tmp_path, **values).load()
    assert str(caught.value).startswith(said.format(root=tmp_path))


def test_a_search_refuses_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(tmp_path, "images/train/cat.{0-5}.png", "images/test/{0-5}.png")
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(
        "study: flat\ndata: {kind: folder, root: images, image_size: 16}\n"
        "backbones: [shufflenet_v2_x0_5]\nspace: {joint.margin: 'uniform(0.05, 0.9)'}\n"
    )
    said = refused("search", "--space", "space.yaml", "--storage", "out")
    assert said.startswith("space.yaml:2:28: data.root: got images and no class folders in test")


def test_a_class_whose_files_cannot_be_read_is_told_with_the_first_reason(tmp_path: Path) -> None:
    pictures(tmp_path, "train/ant", "train/bee", "val/ant", "val/bee")
    for path in (tmp_path / "train/ant").iterdir():
        path.write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(InputError) as caught:
        source(tmp_path).load()
    assert "got 0 images of class 'ant' (6 could not be read, such as train/ant/0.png: " in str(
        caught.value
    )
    pictures(tmp_path, "train/ant")
    for path in (tmp_path / "val/bee").iterdir():
        path.write_text("no image")
    with pytest.raises(InputError, match=r"0 images of class 'bee' \(6 could .* val/bee/0\.png: "):
        source(tmp_path).load()
