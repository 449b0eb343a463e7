"""Pictures that a study holds: synthetic images of its best trials, its confirmation's figures."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from distill_tune.errors import DistillTuneError
from distill_tune.mirror import Mirror
from distill_tune.records import StudyDirectory
from distill_tune.report.source import Source
from distill_tune.storage import storage_at

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_BYTES = 2 << 20
_MAX_LOG_BYTES = 64 << 20
_FIGURES = "confirm/figures"
_TITLES = {
    "features": "Feature space (t-SNE)",
    "matches": "Hard images and their synthetic matches",
    "collapse": "What collapse does",
}


class Picture(NamedTuple):
    """A picture of the page.

    Attributes:
        backbone: Whose.
        title: What it is.
        words: What it shows.
        source: Where it comes from, within the study.
        width: In pixels.
        height: In pixels.
        png: The file's content.
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
        """The picture itself as an address: the page needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def pictures(source: Source) -> tuple[Picture, ...]:
    """Return a study's pictures; what is damaged or too large is left out."""
    found = []
    for backbone in source.state.backbones:
        grid = _grid(source, backbone)
        found += [grid] if grid else []
        found += _of_confirmation(source.directory, backbone)
    return tuple(found)


def _grid(source: Source, backbone: str) -> Picture | None:
    """Return the last grid of synthetic images of a backbone's winner."""
    winner = source.best(backbone)
    # A stranger's log could name a place outside of the study.
    if winner is None or not _is_plain(winner.name):
        return None
    place = f"tensorboard/{winner.name}"
    try:
        mirror = Mirror(source.directory.path(place))
        step, png = _last_image(mirror.folder, "synthetic")
        mirror.close()
    except (DistillTuneError, OSError):
        return None
    text = (
        f"Synthetic images of trial {winner.name} after epoch {step} of stage 3, one class a row."
    )
    return _picture(backbone, "Synthetic images", text, place, png)


def _is_plain(name: str) -> bool:
    return (
        bool(name.strip(".")) and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    )


def _last_image(folder: Path, tag: str) -> tuple[int, bytes]:
    """Return step and content of the newest image of that name; nothing where there is none."""
    found = (0, b"")
    paths = [path for path in sorted(folder.glob("*tfevents*")) if path.is_file()]
    for path in paths:
        if path.stat().st_size <= _MAX_LOG_BYTES:
            found = max([found, *_images(path, tag)], key=lambda image: image[0])
    return found


def _images(path: Path, tag: str) -> Iterator[tuple[int, bytes]]:
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    try:
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == tag and value.WhichOneof("value") == "image":
                    yield int(event.step), bytes(value.image.encoded_image_string)
    except DecodeError:
        return


def _of_confirmation(directory: StudyDirectory, backbone: str) -> Iterator[Picture]:
    folder = storage_at(directory.path(_FIGURES))
    try:
        names = folder.names()
    except DistillTuneError:
        return
    for kind, title in _TITLES.items():
        name = f"{backbone}-{kind}"
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
        found = _picture(backbone, title, text.strip() or title, f"{_FIGURES}/{name}.png", png)
        if found is not None:
            yield found


def _picture(backbone: str, title: str, words: str, place: str, png: bytes) -> Picture | None:
    if not png.startswith(_PNG) or not 24 <= len(png) <= _MAX_BYTES:
        return None
    width, height = struct.unpack(">II", png[16:24])
    return Picture(backbone, title, words, place, width, height, png)
