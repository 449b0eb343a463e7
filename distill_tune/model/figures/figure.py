"""Common parts of all figures: canvas, colours and output."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe and Ito's palette, distinguishable with any colour vision and in grey.
EASY, HARD, SYNTHETIC, SELECTED, OTHER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"

DPI = 110


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches; pyplot would keep a reference to it."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as ``[height, width, 3]`` uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
