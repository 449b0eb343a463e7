"""Hard real images beside the synthetic ones matched to them, class by class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures.figure import blank


class Matches(NamedTuple):
    """Pairs of images.

    Attributes:
        classes: Names of the classes.
        hard: ``[classes, k, size, size, channels]`` uint8.
        synthetic: The images matched to them, of the same shape.
    """

    classes: Sequence[str]
    hard: NDArray[np.uint8]
    synthetic: NDArray[np.uint8]


def draw(matches: Matches) -> Figure:
    """Draw a row per class: hard images on the left, their matches in order on the right."""
    figure = blank(8, 0.7 * len(matches.classes) + 0.6)
    rows = figure.subplots(len(matches.classes), 2, squeeze=False)
    for row, name, *sides in zip(rows, matches.classes, *matches[1:], strict=True):
        for axes, images in zip(row, sides, strict=True):
            strip = np.concatenate(list(images), axis=1)
            shown = strip[..., 0] if strip.shape[-1] == 1 else strip
            axes.imshow(shown, cmap="grey", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    rows[0][0].set_title("hard real images")
    rows[0][1].set_title("synthetic, matched one to one")
    return figure


def words(matches: Matches) -> str:
    """Return the content of the figure in words."""
    classes, count = matches.hard.shape[:2]
    return (
        f"{count} hard training images of each of {classes} classes, and beside each the synthetic "
        "image that was matched to it by the features of the classifier after stage 1."
    )
