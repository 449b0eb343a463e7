"""What a NAS, a disk, a system or a tool keeps among images for itself is no image of anybody."""

from pathlib import Path

import pytest
from PIL import Image

from tests.field.trees import pictures, source

OF_SYSTEMS = [
    "@eaDir",
    "@Recycle",
    "#recycle",
    "#snapshot",
    "lost+found",
    "$RECYCLE.BIN",
    "System Volume Information",
    "Thumbs",
    "__MACOSX",
    ".ipynb_checkpoints",
    ".Trash-1000",
    "FOUND.001",
    "Config.Msi",
    "lost+found.bak",
    "$Extend",
    "$WINDOWS.~BT",
    "@appstore",
    "@database",
    "@quarantine",
    "@cloudsync",
    "@__qini",
    "@SynoEAStream",
]


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_a_folder_of_a_system_is_passed_over_and_counted(name: str, tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee", name, f"ant/{name}/0.png", f"bee/deep/{name}")
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee")
    assert len(data.train.labels) + len(data.val.labels) == 10
    told = "hidden names" if name.startswith(".") else name
    assert data.origin.endswith(f", passed over: {told} (3)")
    assert data.warnings == ()


def test_it_is_passed_over_beside_parts_and_in_them(tmp_path: Path) -> None:
    pictures(tmp_path, "train/ant", "train/bee", "test/ant", "test/bee", "@eaDir/x", "test/@eaDir")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "train/ant/desktop.ini").touch()
    origin = source(tmp_path).load().origin
    assert origin.endswith("passed over: @eaDir, Thumbs.db, desktop.ini")


def test_a_folder_that_may_not_be_read_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path, "ant", "bee", "lost+found")
    really = Path.iterdir

    def guarded(path: Path) -> object:
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    assert source(tmp_path).load().classes == ("ant", "bee")


@pytest.mark.parametrize("folder", ["thumbs", "Thumbnails", "_thumb"])
def test_thumbnails_of_the_images_beside_them_are_passed_over(folder: str, tmp_path: Path) -> None:
    pictures(tmp_path, "ant", "bee")
    (tmp_path / "ant" / folder).mkdir()
    for path in sorted((tmp_path / "ant").glob("*.png")):
        Image.open(path).resize((4, 4)).save(tmp_path / "ant" / folder / f"{path.stem}_thumb.jpg")
    data = source(tmp_path).load()
    assert len(data.train.labels) + len(data.val.labels) == 10
    assert data.origin.endswith(f"passed over: {folder}")


def test_a_class_of_thumbs_is_one(tmp_path: Path) -> None:
    pictures(tmp_path, "fists", "thumbs", "fists/thumbs")
    (tmp_path / "fists/thumbs/other.png").write_bytes((tmp_path / "thumbs/1.png").read_bytes())
    data = source(tmp_path).load()
    assert data.classes == ("fists", "thumbs")
    assert "passed over" not in data.origin


@pytest.mark.parametrize("name", ["Recycled", "RECYCLED", "@another", "$Own"])
def test_a_folder_that_is_probably_of_a_system_is_passed_over_beside_others(
    name: str, tmp_path: Path
) -> None:
    pictures(tmp_path, "ant", "bee", name, f"ant/{name}")
    data = source(tmp_path).load()
    assert data.classes == ("ant", "bee")
    assert len(data.train.labels) + len(data.val.labels) == 10
    assert data.origin.endswith(f", passed over: {name} (2)")


@pytest.mark.parametrize(
    "folders",
    [
        ("@alice", "@bob"),
        ("@alice", "other"),
        ("$5", "$10", "coin", "none"),
        ("Glass", "Paper", "Recycled"),
        ("recycled", "paper", "glass"),
        ("cat/@left", "dog/@right"),
    ],
)
def test_names_that_may_be_classes_are_no_systems(folders: tuple[str, ...], tmp_path: Path) -> None:
    pictures(tmp_path, *folders)
    data = source(tmp_path).load()
    assert data.classes == tuple(sorted({name.split("/")[0] for name in folders}))
    assert len(data.train.labels) + len(data.val.labels) == 5 * len(folders)
    assert "passed over" not in data.origin
