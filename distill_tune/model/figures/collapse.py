"""The poster's collapse figure: does the classifier still improve after the generator fails?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distill_tune.interfaces import COLLAPSE_RATIO
from distill_tune.model.figures.figure import HARD, OTHER, SYNTHETIC, blank


class Course(NamedTuple):
    """The epochs of a run's stage 3.

    Attributes:
        title: Name of the run.
        accuracy: Validation accuracy after each epoch.
        diversity: Diversity of the synthetic images relative to real hard ones; below 0.25 is
            collapse.
        border: Share of the synthetic images on a border between classes.
    """

    title: str
    accuracy: Sequence[float]
    diversity: Sequence[float]
    border: Sequence[float]

    @property
    def collapsed_at(self) -> int | None:
        """The first epoch, from 1, that ends in collapse; None if none does."""
        epochs = (
            number for number, value in enumerate(self.diversity, 1) if value < COLLAPSE_RATIO
        )
        return next(epochs, None)

    @property
    def gain_after_collapse(self) -> float | None:
        """Best accuracy after that epoch minus that at its end; None if there is none."""
        epoch = self.collapsed_at
        if epoch is None or epoch >= len(self.accuracy):
            return None
        return max(self.accuracy[epoch:]) - self.accuracy[epoch - 1]


def course(title: str, curves: Mapping[str, Sequence[float]]) -> Course | None:
    """Return the course of a run from its curves; None if it has no generator."""
    names = ("val/accuracy", "synthetic/diversity", "synthetic/border_share")
    if not all(curves.get(name) for name in names):
        return None
    return Course(title, *(curves[name] for name in names))


def draw(courses: Sequence[Course]) -> Figure:
    """Draw runs side by side over their epochs: accuracy, diversity, images on borders."""
    figure = blank(5.2 * len(courses), 4)
    for axes, one in zip(figure.subplots(1, len(courses), squeeze=False)[0], courses, strict=True):
        _draw(axes, one)
    figure.axes[0].legend(loc="best", fontsize=8)
    return figure


def _draw(axes: Axes, one: Course) -> None:
    epochs = range(1, len(one.accuracy) + 1)
    axes.plot(epochs, one.accuracy, color=HARD, marker="o", markersize=3, label="val accuracy")
    axes.plot(epochs, one.diversity, color=SYNTHETIC, label="diversity of synthetic images")
    axes.plot(epochs, one.border, color=OTHER, linestyle="--", label="share on class borders")
    axes.axhline(COLLAPSE_RATIO, color=SYNTHETIC, linewidth=0.6, linestyle=":")
    axes.set_title(one.title)
    axes.set_xlabel("epoch of stage 3")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)


def words(courses: Sequence[Course]) -> str:
    """Return the content of the figure in words."""
    return " ".join(_words(one) for one in courses)


def _words(one: Course) -> str:
    ends = f"validation accuracy {one.accuracy[0]:.3f} to {one.accuracy[-1]:.3f}"
    ends += f", diversity {one.diversity[0]:.2f} to {one.diversity[-1]:.2f}"
    ends += f", on class borders {one.border[0]:.2f} to {one.border[-1]:.2f}"
    if one.collapsed_at is None:
        return f"{one.title}: no collapse; {ends}."
    gain = one.gain_after_collapse
    after = "at the last epoch" if gain is None else f"best accuracy afterwards {gain:+.3f}"
    return f"{one.title}: collapse in epoch {one.collapsed_at}, {after}; {ends}."
