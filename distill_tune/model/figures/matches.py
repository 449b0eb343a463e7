"""Hard real images beside the synthetic ones matched to them, class by class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures.figure import blank

_LONGEST_NAME = 24
_GAP = 8
"""Images are this many times as wide as the gap between them."""


class Matches(NamedTuple):
    """Pairs of images.

    Attributes:
        classes: Names of the classes.
        hard: Images of each class, ``[k, size, size, channels]`` uint8; k may differ.
        synthetic: The images matched to them, of the same shapes.
    """

    classes: Sequence[str]
    hard: Sequence[NDArray[np.uint8]]
    synthetic: Sequence[NDArray[np.uint8]]


def draw(matches: Matches) -> Figure:
    """Draw a row per class: hard images on the left, their matches in order on the right."""
    figure = blank(8, 0.7 * len(matches.classes) + 0.6)
    rows = figure.subplots(len(matches.classes), 2, squeeze=False)
    columns = max(map(len, matches.hard))
    for row, name, *sides in zip(rows, matches.classes, *matches[1:], strict=True):
        for axes, images in zip(row, sides, strict=True):
            shown = _strip(images, columns)
            axes.imshow(shown, cmap="grey", vmin=0, vmax=255, interpolation="nearest")
            axes.set_axis_off()
        row[0].text(
            -0.02,
            0.5,
            name[:_LONGEST_NAME],
            ha="right",
            va="center",
            transform=row[0].transAxes,
            parse_math=False,
        )
    rows[0][0].set_title("hard real images")
    rows[0][1].set_title("synthetic, matched one to one")
    return figure


def _strip(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Return images ``[k, size, size, channels]`` side by side on white, room for ``columns``."""
    size, channels = images.shape[1], images.shape[3]
    step = size + max(1, size // _GAP)
    shape = (size, step * columns - (step - size), channels)
    strip = np.full(shape, 255, dtype=np.uint8)
    for number, image in enumerate(images):
        strip[:, number * step : number * step + size] = image
    return strip[..., 0] if channels == 1 else strip


def words(matches: Matches) -> str:
    """Return the content of the figure in words."""
    counts = [len(images) for images in matches.hard]
    count = f"{max(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return (
        f"{count} hard training images of each of {len(counts)} classes, and on the right, in the "
        "same order, the synthetic images matched one to one to them by the features of the "
        "classifier that labelled them."
    )
