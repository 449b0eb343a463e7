"""Pictures in a report: TensorBoard's, the confirmation's, and nothing that is no picture."""

import struct
import zlib
from pathlib import Path

import pytest
import torch

from distill_tune.records.directory import StudyDirectory
from distill_tune.report.pictures import pictures
from distill_tune.report.study_records import source
from distill_tune.training.tensorboard.writer import TensorBoard
from tests.report.made_up import make_study
from tests.report.page_reader import report


def png(width: int, height: int, *, padding: int = 0) -> bytes:
    """Return a black picture; ``padding`` makes its file larger."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * height)
    parts = [chunk(b"IHDR", head), chunk(b"tEXt", b"a\0" + b"x" * padding), chunk(b"IDAT", rows)]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    return make_study(tmp_path / "study", 2)


def best_name(directory: StudyDirectory) -> str:
    winner = source(directory).best("resnet18")
    assert winner is not None
    return winner.name


def write_grids(directory: StudyDirectory, name: str, *, tag: str = "synthetic") -> None:
    writer = TensorBoard(directory.path(f"tensorboard/{name}"))
    for step, height in ((1, 48), (9, 64)):
        writer.images(tag, step, torch.zeros(4, 1, height, 48), columns=4)
    writer.images("other", 12, torch.zeros(1, 1, 50, 50))
    writer.close()


def test_the_last_grid_of_the_best_trial_is_shown(directory: StudyDirectory) -> None:
    name = best_name(directory)
    write_grids(directory, name)
    (found,) = pictures(source(directory))
    assert found.words == (
        f"Synthetic images of trial {name} after epoch 9 of stage 3, one class a row."
    )
    assert found.height >= 64
    page, said = report(directory)
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["alt"] == found.words
    assert image["src"].startswith("data:image/png;base64,iVBOR")
    assert said["pictures"][0]["source"] == f"tensorboard/{name}"


def test_a_damaged_event_file_costs_its_own_pictures_only(
    directory: StudyDirectory,
) -> None:
    name = best_name(directory)
    write_grids(directory, name)
    folder = Path(directory.path(f"tensorboard/{name}"))
    (whole,) = folder.glob("*tfevents*")
    content = whole.read_bytes()
    (folder / "a.tfevents.1").write_bytes(content[: len(content) // 2])
    (folder / "b.tfevents.2").write_bytes(b"\0" * 1000)
    (folder / "c.tfevents.3").write_bytes(content[:900] + b"\xff" * 300 + content[1200:])
    (folder / "d.tfevents.4").mkdir()
    (found,) = pictures(source(directory))
    assert "after epoch 9" in found.words


def test_a_confirmations_figures_come_with_their_words(directory: StudyDirectory) -> None:
    for kind in ("features", "matches", "collapse"):
        directory.write_bytes(f"confirm/figures/resnet18-{kind}.png", png(20, 10))
    directory.write_text("confirm/figures/resnet18-features.txt", "t-SNE of <i>50</i> images.\n")
    found = pictures(source(directory))
    assert [(one.title, one.width, one.height) for one in found] == [
        ("Feature space (t-SNE)", 20, 10),
        ("Hard images and their synthetic matches", 20, 10),
        ("What collapse does", 20, 10),
    ]
    page, _ = report(directory)
    assert "t-SNE of <i>50</i> images." in page.text


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg onload=alert(1)>", png(1, 1, padding=3 << 20)],
    ids=["empty", "another kind", "cut", "no picture", "too large"],
)
def test_what_is_no_picture_or_too_large_is_left_out(
    directory: StudyDirectory, content: bytes
) -> None:
    directory.write_bytes("confirm/figures/resnet18-features.png", content)
    assert pictures(source(directory)) == ()


@pytest.mark.parametrize("name", ["../elsewhere", "..", ".", "", "a/b", "a\0b"])
def test_a_name_in_the_log_leads_to_no_file_outside_of_the_study(tmp_path: Path, name: str) -> None:
    directory = StudyDirectory(str(tmp_path / "study"))
    params = {"trial": 0, "name": name, "backbone": "resnet18", "params": {}}
    directory.append({"event": "trial_started", **params})
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"objective": 1}})
    if "\0" not in name:
        write_grids(directory, name)
    assert pictures(source(directory)) == ()
