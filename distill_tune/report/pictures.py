"""Pictures of a study: synthetic images of its best trials, figures of its confirmation."""

import base64
import struct
from collections.abc import Iterator
from typing import NamedTuple

from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import FIGURES_FOLDER, StudyDirectory, file_part, stage_picture
from distill_tune.records.files.mirror import Mirror
from distill_tune.records.files.storage import storage_at
from distill_tune.records.status import StageInfo, is_of_search
from distill_tune.records.trials import WARMUP_GRID, TrialRecord
from distill_tune.report.study_records import Source
from distill_tune.training.tensorboard.reading import last_image

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_BYTES = 2 << 20
_MOST_WARMUPS = 4
_TITLES = {
    "features": "Feature space (t-SNE)",
    "matches": "Hard images and their synthetic matches",
    "collapse": "What collapse does",
}


class _Grid(NamedTuple):
    """A kind of picture in a trial's TensorBoard run; ``words`` contain ``trial`` and ``step``."""

    tag: str
    title: str
    words: str


_SYNTHETIC = _Grid(
    "synthetic",
    "Synthetic images",
    "Synthetic images of trial {trial} after epoch {step} of stage 3, one class a row.",
)
_WARMED = _Grid(
    WARMUP_GRID,
    "After the warm-up",
    "Synthetic images of trial {trial} after {step} steps of its warm-up, one class a row.",
)


class ReportPicture(NamedTuple):
    """A picture of the page.

    Attributes:
        backbone: Backbone of the picture; empty if all backbones share it.
        title: Heading.
        words: Caption.
        source: Path within the study.
        width: Width in pixels.
        height: Height in pixels.
        png: Content of the PNG file.
    """

    backbone: str
    title: str
    words: str
    source: str
    width: int
    height: int
    png: bytes

    @property
    def address(self) -> str:
        """The picture as a data URL, so that the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def pictures(source: Source) -> tuple[ReportPicture, ...]:
    """Return a study's pictures, leaving out damaged and oversized ones."""
    found = []
    for backbone in source.state.backbones:
        grid = _grid(source, backbone)
        found += [grid] if grid else []
        found += _of_confirmation(source.directory, backbone)
    return tuple(found)


def warmup_pictures(source: Source) -> tuple[ReportPicture, ...]:
    """Return synthetic images from the ends of warm-ups: shared ones, and those of the winners."""
    found = [
        _of_stage(source.directory, stage)
        for stage in source.status.stages
        if stage.name.startswith("warmup") and is_of_search(stage.name)
    ]
    winners = (source.best(backbone) for backbone in source.state.backbones)
    found += [
        _logged(source, winner, _WARMED)
        for winner in winners
        if winner is not None and "warmup" in winner.seconds
    ]
    return tuple(one for one in found if one is not None)[:_MOST_WARMUPS]


def _of_stage(directory: StudyDirectory, stage: StageInfo) -> ReportPicture | None:
    if not _is_plain(stage.key):
        return None
    name = stage_picture("warmup", stage.key)
    if not directory.has(name):
        return None
    try:
        png = storage_at(directory.path()).read(name)
    except DistillTuneError:
        return None
    text = f"Synthetic images after the shared stage {stage.name}, one class a row."
    return _picture("", f"After {stage.name}", text, name, png)


def _grid(source: Source, backbone: str) -> ReportPicture | None:
    """Return the last grid of synthetic images of a backbone's winner."""
    winner = source.best(backbone)
    return None if winner is None else _logged(source, winner, _SYNTHETIC)


def _logged(source: Source, trial: TrialRecord, grid: _Grid) -> ReportPicture | None:
    """Return the last picture of a kind in a trial's TensorBoard run."""
    # An untrusted log could name a path outside the study.
    if not _is_plain(trial.name):
        return None
    place = f"tensorboard/{trial.name}"
    try:
        mirror = Mirror(source.directory.path(place))
        step, png = last_image(mirror.folder, grid.tag)
        mirror.close()
    except (DistillTuneError, OSError):
        return None
    text = grid.words.format(trial=trial.name, step=step)
    return _picture(trial.backbone, grid.title, text, place, png)


def _is_plain(name: str) -> bool:
    return (
        bool(name.strip(".")) and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    )


def _of_confirmation(directory: StudyDirectory, backbone: str) -> Iterator[ReportPicture]:
    folder = storage_at(directory.path(FIGURES_FOLDER))
    try:
        names = folder.names()
    except DistillTuneError:
        return
    for kind, title in _TITLES.items():
        name = f"{file_part(backbone)}-{kind}"
        if f"{name}.png" not in names:
            continue
        try:
            png = folder.read(f"{name}.png")
            text = (
                folder.read(f"{name}.txt").decode(errors="replace")
                if f"{name}.txt" in names
                else ""
            )
        except DistillTuneError:
            continue
        found = _picture(
            backbone, title, text.strip() or title, f"{FIGURES_FOLDER}/{name}.png", png
        )
        if found is not None:
            yield found


def _picture(backbone: str, title: str, words: str, place: str, png: bytes) -> ReportPicture | None:
    if not png.startswith(_PNG) or not 24 <= len(png) <= _MAX_BYTES:
        return None
    width, height = struct.unpack(">II", png[16:24])
    return ReportPicture(backbone, title, words, place, width, height, png)
