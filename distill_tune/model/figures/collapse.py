"""The poster's collapse figure: does the classifier still improve after the generator fails?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distill_tune.interfaces import COLLAPSE_RATIO
from distill_tune.model.figures.figure import HARD, OTHER, SYNTHETIC, blank
from distill_tune.records.words.metric_names import ACCURACY, is_share, title, validation_title


class Course(NamedTuple):
    """The epochs of a run's stage 3.

    Attributes:
        title: Name of the run.
        values: Validation metric after each epoch.
        diversity: Diversity of the synthetic images relative to real hard ones; below 0.25 is
            collapse.
        border: Share of the synthetic images on a border between classes.
        metric: Name of the metric.
    """

    title: str
    values: Sequence[float]
    diversity: Sequence[float]
    border: Sequence[float]
    metric: str = ACCURACY

    @property
    def collapsed_at(self) -> int | None:
        """The first epoch, from 1, that ends in collapse; None if none does."""
        epochs = (
            number for number, value in enumerate(self.diversity, 1) if value < COLLAPSE_RATIO
        )
        return next(epochs, None)

    @property
    def gain_after_collapse(self) -> float | None:
        """Best value after that epoch minus that at its end; None if there is none."""
        epoch = self.collapsed_at
        if epoch is None or epoch >= len(self.values):
            return None
        return max(self.values[epoch:]) - self.values[epoch - 1]


def course(
    name: str, curves: Mapping[str, Sequence[float]], metric: str = ACCURACY
) -> Course | None:
    """Return the course of a run from its curves; None if it has no generator.

    The metric is replaced by accuracy if it was not recorded, or is not a share.
    """
    shown = metric if is_share(metric) and metric in curves else ACCURACY
    names = (shown, "synthetic/diversity", "synthetic/border_share")
    values, diversity, border = (curves.get(each, ()) for each in names)
    if not (values and diversity and border):
        return None
    return Course(name, values, diversity, border, shown)


def draw(courses: Sequence[Course]) -> Figure:
    """Draw runs side by side over their epochs: metric, diversity, images on borders."""
    figure = blank(5.2 * len(courses), 4.4)
    rows = figure.subplots(1, len(courses), squeeze=False, sharey=True)
    for axes, one in zip(rows[0], courses, strict=True):
        _draw(axes, one)
    figure.axes[0].set_ylabel("share, or ratio to real images")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw(axes: Axes, one: Course) -> None:
    epochs = range(1, len(one.values) + 1)
    label = f"val {title(one.metric)}"
    axes.plot(epochs, one.values, color=HARD, marker="o", markersize=3, label=label)
    axes.plot(epochs, one.diversity, color=SYNTHETIC, label="diversity")
    axes.plot(epochs, one.border, color=OTHER, linestyle="--", label="share on class borders")
    axes.axhline(
        COLLAPSE_RATIO, color=SYNTHETIC, linewidth=1, linestyle=":", label="collapse if below"
    )
    axes.set_title(one.title)
    axes.set_xlabel("epoch of stage 3")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)


def words(courses: Sequence[Course]) -> str:
    """Return the content of the figure in words."""
    return (
        "Diversity: mean distance between two synthetic images of a class over that between two "
        "hard real ones, in the features of the classifier after stage 1; below "
        f"{COLLAPSE_RATIO} is collapse. {' '.join(map(_words, courses))}"
    )


def _words(one: Course) -> str:
    ends = f"{validation_title(one.metric)} {one.values[0]:.3f} to {one.values[-1]:.3f}"
    ends += f", diversity {one.diversity[0]:.2f} to {one.diversity[-1]:.2f}"
    ends += f", on class borders {one.border[0]:.2f} to {one.border[-1]:.2f}"
    if one.collapsed_at is None:
        return f"{one.title}: no collapse; {ends}."
    gain = one.gain_after_collapse
    after = (
        "at the last epoch" if gain is None else f"best {title(one.metric)} afterwards {gain:+.3f}"
    )
    return f"{one.title}: collapse in epoch {one.collapsed_at}, {after}; {ends}."
