"""Contact sheets: rows of synthetic images, each with the prediction of the classifier."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures.figure import HARD, blank

_SIDE = 0.9
"""Side of an image in inches; the lengths below are shares of it."""
_GAP = 0.12
"""Gap between images."""
_CAPTION = 0.2
"""Height of a caption."""
_LETTER, _LONGEST_NAME = 0.1, 24
"""Width of a letter of a class name, and the number of letters shown."""


class Row(NamedTuple):
    """Images of a class.

    Attributes:
        name: Name of the class; empty in a row that continues the one above.
        images: ``[n, size, size, 1 or 3]`` uint8.
        probabilities: Probabilities of their class, as predicted by the classifier.
        taken_for: The predicted class of each; empty if it is its own.
    """

    name: str
    images: NDArray[np.uint8]
    probabilities: Sequence[float]
    taken_for: Sequence[str]


class Sheet(NamedTuple):
    """A contact sheet.

    Attributes:
        title: Description of the images.
        rows: Rows from the top.
        columns: Images in a full row.
        total: Number of images made, including those not shown.
    """

    title: str
    rows: Sequence[Row]
    columns: int
    total: int


def draw(sheet: Sheet) -> Figure:
    """Draw the rows; under each image the probability of its class, or its confusion."""
    names = [row.name[:_LONGEST_NAME] for row in sheet.rows]
    margin = _LETTER * max(map(len, names), default=0) + 2 * _GAP
    width, height = sheet.columns * (1 + _GAP), 1 + _GAP + _CAPTION
    figure = blank(_SIDE * (margin + width), _SIDE * (height * len(names) + 0.6))
    axes = figure.subplots()
    for number, (row, name) in enumerate(zip(sheet.rows, names, strict=True)):
        top = number * height
        _draw_row(axes, row, top)
        axes.text(-_GAP, top + 0.5, name, ha="right", va="center", size=9, parse_math=False)
    axes.set_xlim(-margin, width)
    axes.set_ylim(len(names) * height, -_GAP)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"{sheet.title}\nbelow: probability of its class → what it is taken for", size=9)
    return figure


def _draw_row(axes: Axes, row: Row, top: float) -> None:
    for number, (image, probability, guess) in enumerate(zip(*row[1:], strict=True)):
        left = number * (1 + _GAP)
        shown = image[..., 0] if image.shape[-1] == 1 else image
        extent = (left, left + 1, top + 1, top)
        axes.imshow(shown, cmap="grey", vmin=0, vmax=255, interpolation="nearest", extent=extent)
        label = f"{probability:.2f}" + (f" → {guess[:9]}" if guess else "")
        axes.text(
            left + 0.5,
            top + 1.03,
            label,
            ha="center",
            va="top",
            size=6.5,
            color=HARD if guess else "black",
            weight="bold" if guess else "normal",
            parse_math=False,
        )


def words(sheet: Sheet) -> str:
    """Return the content of the figure in words."""
    shown = sum(len(row.images) for row in sheet.rows)
    wrong = sum(bool(guess) for row in sheet.rows for guess in row.taken_for)
    classes = ", ".join(row.name for row in sheet.rows if row.name)
    return (
        f"{sheet.title}: {shown} of {sheet.total} synthetic images of {classes}, {sheet.columns} "
        "a row; under each the probability that the classifier gives to its class. "
        f"{wrong} are taken for another class, which is named."
    )
