"""``distill-tune check``: what images are, copies among them, and whether a search could run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from distill_tune import check
from distill_tune.cli import app
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.survey.survey import Survey
from distill_tune.errors import InputError
from distill_tune.terminal.data_check_view import survey_warnings
from distill_tune.tuning.draft.images import look_at

SIDE = 48


def write(path: Path, seed: int) -> None:
    """Write a picture of coarse noise, which is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return two classes of 8 images with everything that is wrong with them."""
    root = tmp_path / "images"
    for number in range(16):
        write(root / ("ant" if number < 8 else "bee") / f"{number}.png", number)
    for part in ("val", "test"):
        write(tmp_path / "parts" / part / "ant" / f"{part}.png", 99)
    return root


def shown(found: Survey) -> str:
    return "\n".join(survey_warnings(found))


def test_sound_images_have_counts_sizes_modes_and_no_warning(folder: Path) -> None:
    Image.new("L", (30, 20), 128).save(folder / "bee/grey.png")
    found = check(folder)
    assert found.classes == ("ant", "bee")
    assert {part: sum(counts) for part, counts in found.counts.items()} == {
        "train": 9,
        "val": 4,
        "test": 4,
    }
    assert found.sizes == {(SIDE, SIDE): 16, (30, 20): 1}
    assert found.modes == {"RGB": 16, "L": 1}
    assert (found.copies, found.unreadable, found.error) == ((), (), None)
    assert "pair" not in shown(found)


def test_what_was_passed_over_is_told(folder: Path) -> None:
    for number in range(8):
        write(folder / "__dunder" / f"{number}.png", 50 + number)
    assert "passed over: __dunder" in shown(check(folder))
    assert "passed over: __dunder" in look_at(str(folder)).warnings


def test_copies_are_found_with_their_splits_and_labels(folder: Path) -> None:
    shutil.copy(folder / "ant/0.png", folder / "bee/same.png")
    Image.open(folder / "ant/1.png").save(folder / "ant/near.jpg", quality=80)
    found = check(folder)
    equal, near = found.copies
    assert {equal.first, equal.second} == {"ant/0.png", "bee/same.png"}
    assert (equal.kind, equal.is_conflict) == ("equal", True)
    assert set(equal.classes) == {"ant", "bee"}
    assert {near.first, near.second} == {"ant/1.png", "ant/near.jpg"}
    assert (near.kind, near.is_conflict) == ("near", False)
    text = shown(found)
    assert "1 pair of images the same, with different labels, such as " in text
    assert "1 pair of images nearly the same, in " in text


def test_copies_in_a_separate_test_part_are_found(folder: Path) -> None:
    root = folder.parent / "whole"
    shutil.copytree(folder, root / "train")
    shutil.copytree(folder / "ant", root / "test/ant")
    found = check(root)
    assert found.counts["test"] == [8, 0]
    across = [one for one in found.copies if one.splits[1] == "test"]
    assert len(across) == 8
    assert "8 pairs of images the same, in different splits" in shown(found)
    source = Folder(kind="folder", root=str(root))
    assert any("8 test files are in train too" in text for text in source.load().warnings)
    assert "in train too" not in shown(found), "told once"


def test_copies_in_drawn_splits_are_told_once(folder: Path) -> None:
    for number in range(8):
        shutil.copy(folder / "ant/0.png", folder / f"ant/again{number}.png")
    warnings = Folder(kind="folder", root=str(folder)).load().warnings
    assert any("in train too" in text for text in warnings)
    found = check(folder)
    assert "in different splits" in shown(found)
    assert " too" not in shown(found)


def test_images_of_a_pixel_are_told_and_scaled_up(tmp_path: Path) -> None:
    for number in range(16):
        path = tmp_path / "dots" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1) if number else (9, 9), 9 * number).save(path)
    found = check(tmp_path / "dots")
    assert "15 training images are below 4 pixels: a search takes them scaled up" in shown(found)
    assert Folder(kind="folder", root=str(tmp_path / "dots")).load().image_size == 64


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    (folder / "bee/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot at all")
    found = check(folder)
    assert [line.partition(":")[0] for line in found.unreadable] == ["bee/broken.png"]
    assert "1 unreadable file, left out: bee/broken.png: " in shown(found)


def test_an_array_has_no_files(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    images[13] = images[2]
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(20) % 2)
    found = check(tmp_path / "a.npz")
    (only,) = found.copies
    assert only.is_conflict
    assert only.first.split(" image ")[0] in {"train", "val", "test"}
    assert (found.sizes, found.modes) == ({(16, 16): sum(found.counts["train"])}, {"L": 12})


@pytest.mark.parametrize(
    ("suffix", "line"),
    [
        (".npz", "values: 0..4095 (integers of more than 8 bits) become 0..255 in every image"),
        ("", "values: 0..255 (8 bits), 0..4095 (integers of more than 8 bits) become 0..255 in"),
    ],
)
def test_values_of_black_and_white_are_shown(suffix: str, line: str, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 4081, (24, 8, 8)).astype(np.uint16)
    np.savez(tmp_path / "set.npz", x=deep, y=np.arange(24) % 2)
    for number, pixels in enumerate(deep):
        part = "test" if number < 4 else "train"
        path = tmp_path / f"set/{part}/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels if part == "test" else (pixels >> 4).astype(np.uint8)).save(path)
    done = CliRunner().invoke(app, ["check", str(tmp_path / f"set{suffix}"), "--json"])
    assert done.exit_code == 0, done.output
    assert line in done.stderr, "a line of its own, however wide"
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["value_ranges"]["integers"] == [0, 4095]


def test_what_no_search_could_use_ends_with_2_after_what_was_found(folder: Path) -> None:
    for path in list((folder / "bee").iterdir())[2:]:
        path.unlink()
    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 2
    assert "2 images of class 'bee'" in done.output
    assert "sizes in pixels: 48x48 (10)" in done.output
    title = "images: images of each class, as a search would split them"
    assert title in done.output.splitlines(), "not broken at the width of the table"
    with pytest.raises(InputError, match="data: got 2 images of class 'bee'"):
        check(folder)
    assert check(folder, search=False).counts == {"train": [8, 2]}
    missing = CliRunner().invoke(app, ["check", str(folder / "no")])
    assert missing.exit_code == 2
    assert missing.stderr.startswith("DATA: got '")


def test_the_sheet_and_the_findings_are_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["check", str(folder), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == json.loads((out / "check.json").read_text())
    assert said["counts"] == {"train": [4, 4], "val": [2, 2], "test": [2, 2]}
    assert said["sizes"] == {"48x48": 16}
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.height > 2 * 64
        assert len(np.unique(np.asarray(sheet.convert("L")))) > 50
