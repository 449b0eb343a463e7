"""Map of the values over two params: margin and ratio if both were searched."""

from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from distill_tune.report.axes import Axis
from distill_tune.report.drawing import Dot, Panel, panels
from distill_tune.report.figures.slices import SlicedTrial
from distill_tune.report.figures.slices import info as slices_info
from distill_tune.report.study_records import Source

TITLE = "Two params together"

LEAST = 20
"""Complete trials needed for a map; fewer are shown as dots only."""

_MARGIN, _RATIO = "joint.margin", "joint.synthetic_ratio"
_LEVELS, _CELLS = 6, 40
_WIDTH = 0.1
_NEAR = 0.5


class Contour(NamedTuple):
    """Values over the plane of two params.

    Attributes:
        across: Horizontal axis.
        up: Vertical axis.
        trials: Each trial with its values of the two params.
        levels: ``[rows, columns]`` of a grid over the plane, from the bottom: the sixth of the
            range of smoothed values, 0 for the lowest; -1 where no trial is near. Empty without a
            map.
        low: Lowest smoothed value.
        high: Highest smoothed value.
        num_complete: Number of complete trials that the map is made from.
    """

    across: Axis
    up: Axis
    trials: tuple[tuple[SlicedTrial, object, object], ...]
    levels: tuple[tuple[int, ...], ...]
    low: float
    high: float
    num_complete: int


def info(source: Source, backbone: str) -> Contour | None:
    """Return the plane of a backbone; None if fewer than two numeric params were searched."""
    found = slices_info(source, backbone)
    names = [path for path, axis in source.axes.items() if not axis.choices]
    if found is None or len(names) < 2:
        return None
    pair = (_MARGIN, _RATIO) if {_MARGIN, _RATIO} <= set(names) else (names[0], names[1])
    across, up = (source.axes[path] for path in pair)
    trials = tuple((t, t.params.get(pair[0]), t.params.get(pair[1])) for t in found.trials)
    # A pruned trial's value is from another epoch, so a map must not mix it with complete ones.
    full = [
        (x, y, trial.value)
        for trial, first, second in trials
        if trial.kind in {"complete", "best"}
        if (x := across.place(first)) is not None and (y := up.place(second)) is not None
    ]
    empty = Contour(across, up, trials, (), 0.0, 0.0, len(full))
    return empty if len(full) < LEAST else _mapped(empty, np.array(full))


def _mapped(found: Contour, full: NDArray[np.float64]) -> Contour:
    """Add the map: in each cell the mean of the trials, weighted by nearness."""
    middles = (np.arange(_CELLS) + 0.5) / _CELLS
    x, y = np.meshgrid(middles, middles)
    squares = (x[..., None] - full[:, 0]) ** 2 + (y[..., None] - full[:, 1]) ** 2
    weights = np.exp(-squares / (2 * _WIDTH**2))
    total = weights.sum(-1)
    smooth = (weights * full[:, 2]).sum(-1) / np.maximum(total, 1e-12)
    is_near = total >= _NEAR
    low, high = float(smooth[is_near].min()), float(smooth[is_near].max())
    scaled = (smooth - low) / max(high - low, 1e-12)
    levels = np.where(is_near, np.minimum(_LEVELS - 1, (scaled * _LEVELS).astype(int)), -1)
    rows = tuple(tuple(int(level) for level in row) for row in levels)
    return found._replace(levels=rows, low=low, high=high)


def draw(found: Contour) -> Markup:
    """Draw the map in six shades, the strongest for the highest values, and the trials on it."""
    panel = Panel(found.across, found.up, height=280)
    for row, levels in enumerate(found.levels):
        for start, stop, level in _runs(levels):
            box = (start / _CELLS, (stop - start) / _CELLS, row / _CELLS, 1 / _CELLS)
            panel.cell(*box, f"level{level}")
    panel.dots(
        Dot(x, y, trial.kind, f"trial {trial.number}: {trial.value:.4g}")
        for trial, x, y in sorted(found.trials, key=lambda one: one[0].kind == "best")
    )
    return panels([panel])


def _runs(levels: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return the runs of equal level in a row: start, stop, level."""
    ends = [i for i in range(1, len(levels)) if levels[i] != levels[i - 1]]
    pairs = zip([0, *ends], [*ends, len(levels)], strict=True)
    return [(start, stop, levels[start]) for start, stop in pairs if levels[start] >= 0]


def words(found: Contour) -> str:
    """Return in words what the figure shows."""
    plane = f"{found.across.title} from left to right, {found.up.title} from bottom to top"
    if not found.levels:
        return (
            f"{plane}: {len(found.trials)} trials. Too few complete ones for a map: n = "
            f"{found.num_complete}, {LEAST} are needed."
        )
    peak = [
        ((column + 0.5) / _CELLS, (row + 0.5) / _CELLS)
        for row, levels in enumerate(found.levels)
        for column, level in enumerate(levels)
        if level == _LEVELS - 1
    ]
    where = f"{_span([x for x, _ in peak])} of the way from left to right and "
    where += f"{_span([y for _, y in peak])} from bottom to top"
    return (
        f"{plane}: {len(found.trials)} trials over a smoothed map of the {found.num_complete} "
        f"complete ones, {found.low:.4f} (faint) to {found.high:.4f} (strong); blank where no "
        f"trial is near. The strongest part lies {where}."
    )


def _span(shares: list[float]) -> str:
    return f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %"
