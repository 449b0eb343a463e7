"""Figures of a confirmation, drawn where a run's model is or from the log of several runs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from distill_tune.distill.augmentation import to_uint8
from distill_tune.distill.monitoring.trial_portrait import Portrait, portray
from distill_tune.distill.trial import Trial
from distill_tune.model.figures import collapse, features, matches
from distill_tune.model.figures.figure import pixels, png
from distill_tune.records.confirm_log import EVIDENCE, FIGURES, RunRecord
from distill_tune.records.directory import FIGURES_FOLDER, StudyDirectory, file_part

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


class Picture(NamedTuple):
    """A figure that is ready to be stored.

    Attributes:
        name: Name of the figure, such as ``features``.
        png: Content of the PNG file.
        pixels: ``[height, width, 3]`` uint8, for TensorBoard.
        words: Caption.
    """

    name: str
    png: bytes
    pixels: "Tensor"
    words: str


def store_picture(directory: StudyDirectory, backbone: str, picture: Picture) -> None:
    """Write a figure and its caption to ``confirm/figures/`` of a study."""
    name = f"{FIGURES_FOLDER}/{file_part(backbone)}-{picture.name}"
    directory.write_bytes(f"{name}.png", picture.png)
    directory.write_text(f"{name}.txt", f"{picture.words}\n")


def portraits(trial: Trial, classes: Sequence[str]) -> Iterator[Picture]:
    """Yield the figures that need a trained trial: its feature spaces and matched images."""
    found = portray(trial)
    yield _features(found, classes)
    yield _matches(found, classes)


def _features(found: Portrait, classes: Sequence[str]) -> Picture:
    maps = [
        features.feature_map(
            _title(space.epoch),
            space.features.numpy(),
            space.kinds,
            space.labels.numpy(),
            classes,
        )
        for space in found.spaces
    ]
    return _picture("features", features.draw(maps), features.words(maps))


def _title(epoch: int) -> str:
    return f"features after epoch {epoch} of stage 3" if epoch else "features after stage 1"


def _matches(found: Portrait, classes: Sequence[str]) -> Picture:
    hard, synthetic = (
        [to_uint8(images).permute(0, 2, 3, 1).numpy() for images in rows]
        for rows in (found.hard, found.matched)
    )
    shown = matches.Matches(classes, hard, synthetic)
    return _picture("matches", matches.draw(shown), matches.words(shown))


def collapse_picture(backbone: str, runs: Iterable[RunRecord], metric: str) -> Picture | None:
    """Return the figure of a collapse's effect on the classifier; None without a run to show.

    Args:
        backbone: Name of the backbone.
        runs: Runs of a log.
        metric: Metric of the study.
    """
    wanted = {
        run.phase: run
        for run in runs
        if run.backbone == backbone
        if run.phase == FIGURES or (run.phase == EVIDENCE and run.role == "method")
    }
    found = (wanted.get(EVIDENCE), wanted.get(FIGURES))
    courses = [collapse.course(run.title, run.curves, metric) for run in found if run is not None]
    known = [course for course in courses if course is not None]
    return _picture("collapse", collapse.draw(known), collapse.words(known)) if known else None


def _picture(name: str, figure: "Figure", words: str) -> Picture:
    return Picture(name, png(figure), torch.from_numpy(pixels(figure)), words)
