"""The poster's t-SNE figure: easy, hard and synthetic images in the classifier's feature space."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from distill_tune.distill.monitoring.diversity import FeatureSet, energy_distances
from distill_tune.model.figures.figure import EASY, HARD, SELECTED, SYNTHETIC, blank

_STYLES = {
    "easy": (EASY, "o", 10),
    "hard": (HARD, "^", 16),
    "synthetic": (SYNTHETIC, "x", 12),
    "selected": (SELECTED, "+", 24),
}
_LONGEST_NAME = 12


class Distances(NamedTuple):
    """Squared energy distances between kinds of images: 0 for the same distribution.

    Unlike the share of images whose nearest neighbour is hard, they do not depend on how densely
    each kind lies: in many dimensions, even a hard image is often nearest to easy ones, at the
    centre of its class.

    Attributes:
        to_hard: From synthetic to hard images; NaN if no class has two of each kind.
        to_easy: From synthetic to easy images.
        easy_to_hard: Between easy and hard images.
        error: Standard error, over classes, of ``to_easy - to_hard``; NaN with fewer than two.
    """

    to_hard: float
    to_easy: float
    easy_to_hard: float
    error: float

    @property
    def verdict(self) -> str:
        """Which images the synthetic ones are nearer to, if that exceeds two standard errors."""
        gap = self.to_easy - self.to_hard
        if math.isnan(self.error):
            return "unknown, as no two classes have two images of each kind"
        if abs(gap) <= 2 * self.error:
            return f"no clear difference ({gap:+.2f}, standard error {self.error:.2f})"
        return f"nearer to {'hard' if gap > 0 else 'easy'} images"

    @property
    def text(self) -> str:
        """The three distances in words."""
        return (
            f"{self.to_hard:.2f} to hard, {self.to_easy:.2f} to easy "
            f"(easy to hard {self.easy_to_hard:.2f})"
        )


class FeatureMap(NamedTuple):
    """Images laid out in a plane, so that those with similar features are near.

    Attributes:
        title: Name of the feature space.
        positions: ``[n, 2]`` float.
        kinds: Kind of every image: ``easy``, ``hard``, ``synthetic`` or ``selected`` (a synthetic
            image from which the classifier would learn).
        labels: ``[n]`` int.
        distances: Distances in the full space, of all synthetic images.
        of_selected: The same, of the selected ones; None if there are none.
        classes: Names of the classes.
    """

    title: str
    positions: NDArray[np.float64]
    kinds: Sequence[str]
    labels: NDArray[np.int64]
    distances: Distances
    of_selected: Distances | None
    classes: Sequence[str]


def feature_map(
    title: str,
    features: NDArray[np.float32],
    kinds: Sequence[str],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> FeatureMap:
    """Lay images out by t-SNE (van der Maaten and Hinton 2008; scikit-learn), seed 0.

    Args:
        title: Name of the feature space.
        features: ``[n, d]``, n >= 4.
        kinds: Kind of every image.
        labels: ``[n]``.
        classes: Names of the classes.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    given = np.array(kinds)
    of_selected = _distances(features, given, labels, ("selected",))
    return FeatureMap(
        title,
        layout,
        kinds,
        labels,
        _distances(features, given, labels, ("synthetic", "selected")),
        of_selected if "selected" in kinds else None,
        classes,
    )


def _distances(
    features: NDArray[np.float32],
    kinds: NDArray[np.str_],
    labels: NDArray[np.int64],
    synthetic: tuple[str, ...],
) -> Distances:
    made, hard, easy = (
        FeatureSet(torch.from_numpy(features[mask]), torch.from_numpy(labels[mask]))
        for mask in (np.isin(kinds, synthetic), kinds == "hard", kinds == "easy")
    )
    classes = torch.from_numpy(np.unique(labels))
    pairs = ((made, hard), (made, easy), (easy, hard))
    found = torch.stack([energy_distances(*pair, classes) for pair in pairs])
    known = found[:, ~found.isnan().any(dim=0)]
    count = known.shape[1]
    error = (known[1] - known[0]).std().item() / math.sqrt(count) if count > 1 else math.nan
    to_hard, to_easy, easy_to_hard = known.mean(dim=1).tolist()
    return Distances(to_hard, to_easy, easy_to_hard, error)


def draw(maps: Sequence[FeatureMap]) -> Figure:
    """Draw spaces side by side, with a colour and marker per kind and a name per class."""
    figure = blank(5.2 * len(maps), 5.2)
    for axes, one in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
        _draw(axes, one)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.draw_without_rendering()  # Only now is known where the names are.
    for axes in figure.axes:
        _part(axes)
    return figure


def _part(axes: Axes) -> None:
    """Move names that cover others up, from the lowest to the highest, if there is room."""
    placed: list[Bbox] = []
    for name in sorted(axes.texts, key=lambda name: name.get_window_extent().y0):
        first = box = name.get_window_extent()
        while covered := [other for other in placed if box.overlaps(other)]:
            box = box.translated(0, max(other.y1 for other in covered) - box.y0 + 1)
        if box.y1 > axes.bbox.y1:
            box = first
        placed.append(box)
        middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        x, y = axes.transData.inverted().transform(middle)
        name.set_position((x, y))


def _draw(axes: Axes, one: FeatureMap) -> None:
    kinds = np.array(one.kinds)
    for kind, (color, marker, size) in _STYLES.items():
        chosen = one.positions[kinds == kind]
        if not len(chosen):
            continue
        axes.scatter(
            chosen[:, 0], chosen[:, 1], s=size, c=color, marker=marker, linewidths=0.8, label=kind
        )
    for label in np.unique(one.labels):
        real = one.positions[(one.labels == label) & np.isin(kinds, ("easy", "hard"))]
        if len(real):
            x, y = np.median(real, axis=0)
            axes.text(
                x,
                y,
                one.classes[label][:_LONGEST_NAME],
                ha="center",
                va="center",
                weight="bold",
                fontsize=11,
                parse_math=False,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
    axes.set_title(f"{one.title}\nsynthetic: {one.distances.text}", fontsize=10)
    axes.set_xlabel("t-SNE 1")
    axes.set_ylabel("t-SNE 2")
    axes.set_xticks([])
    axes.set_yticks([])


def words(maps: Sequence[FeatureMap]) -> str:
    """Return the content of the figure in words."""
    counts = {kind: list(maps[0].kinds).count(kind) for kind in _STYLES}
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return (
        f"t-SNE of {shown} images; easy and hard as the classifier of each space labels them. "
        "Squared energy distances of synthetic images within classes (0: the same distribution): "
        f"{' '.join(map(_words, maps))}"
    )


def _words(one: FeatureMap) -> str:
    found = f"{one.title}: {_told(one.distances)}"
    if one.of_selected is not None:
        found += f"; those selected for the classifier: {_told(one.of_selected)}"
    return f"{found}."


def _told(distances: Distances) -> str:
    if math.isnan(distances.error):
        return distances.verdict
    return f"{distances.text}, {distances.verdict}"
