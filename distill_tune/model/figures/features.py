"""The poster's t-SNE figure: easy, hard and synthetic images in the classifier's feature space."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures.figure import EASY, HARD, SYNTHETIC, blank

_STYLES = {"easy": (EASY, "o", 10), "hard": (HARD, "^", 16), "synthetic": (SYNTHETIC, "x", 12)}


class FeatureMap(NamedTuple):
    """Images laid out in a plane, so that those with similar features are near.

    Attributes:
        title: Name of the feature space.
        positions: ``[n, 2]`` float.
        kinds: Kind of every image: ``easy``, ``hard`` or ``synthetic``.
        labels: ``[n]`` int.
        hard_share: Share of the synthetic images whose nearest real image in the full space is
            hard, over the share of hard images among the real ones; 1 means no preference.
    """

    title: str
    positions: NDArray[np.float64]
    kinds: Sequence[str]
    labels: NDArray[np.int64]
    hard_share: float


def feature_map(
    title: str, features: NDArray[np.float32], kinds: Sequence[str], labels: NDArray[np.int64]
) -> FeatureMap:
    """Lay images out by t-SNE (van der Maaten and Hinton 2008; scikit-learn), seed 0.

    Args:
        title: Name of the feature space.
        features: ``[n, d]``, n >= 4.
        kinds: Kind of every image.
        labels: ``[n]``.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    return FeatureMap(title, layout, kinds, labels, _hard_share(features, np.array(kinds)))


def _hard_share(features: NDArray[np.float32], kinds: NDArray[np.str_]) -> float:
    from sklearn.neighbors import NearestNeighbors

    real, synthetic = kinds != "synthetic", kinds == "synthetic"
    if not synthetic.any() or not (kinds == "hard").any():
        return 0.0
    finder = NearestNeighbors(n_neighbors=1).fit(features[real])
    nearest = finder.kneighbors(features[synthetic], return_distance=False)[:, 0]
    is_hard = kinds[real] == "hard"
    return float(is_hard[nearest].mean() / is_hard.mean())


def draw(maps: Sequence[FeatureMap]) -> Figure:
    """Draw spaces side by side, with a colour and marker per kind and a number per class."""
    figure = blank(5.2 * len(maps), 5)
    for axes, one in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
        _draw(axes, one)
    figure.axes[0].legend(loc="best", fontsize=8)
    return figure


def _draw(axes: Axes, one: FeatureMap) -> None:
    kinds = np.array(one.kinds)
    for kind, (color, marker, size) in _STYLES.items():
        chosen = one.positions[kinds == kind]
        axes.scatter(
            chosen[:, 0], chosen[:, 1], s=size, c=color, marker=marker, linewidths=0.8, label=kind
        )
    for label in np.unique(one.labels):
        real = one.positions[(one.labels == label) & (kinds != "synthetic")]
        if len(real):
            axes.annotate(str(label), np.median(real, axis=0), weight="bold", fontsize=11)
    axes.set_title(f"{one.title}\nsynthetic nearest to hard: {one.hard_share:.2f} x chance")
    axes.set_xticks([])
    axes.set_yticks([])


def words(maps: Sequence[FeatureMap]) -> str:
    """Return the content of the figure in words."""
    counts = {kind: list(maps[0].kinds).count(kind) for kind in _STYLES}
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    shares = "; ".join(
        f"{one.title}: the nearest real image of a synthetic one is hard {one.hard_share:.2f} "
        "times as often as by chance"
        for one in maps
    )
    return f"t-SNE of {shown} images. {shares}."
