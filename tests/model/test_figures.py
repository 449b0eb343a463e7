"""Figures of a confirmation: what they say in words, and that they are really drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures import PLOTS, collapse, features, matches
from distill_tune.model.figures.figure import HARD, SYNTHETIC, pixels, png

HEALTHY = {
    "val/accuracy": [0.5, 0.6, 0.7],
    "synthetic/diversity": [1.0, 0.9, 0.8],
    "synthetic/border_share": [0.1, 0.2, 0.3],
}
COLLAPSING = {**HEALTHY, "synthetic/diversity": [0.9, 0.2, 0.1]}


def course(curves: dict[str, list[float]]) -> collapse.Course:
    found = collapse.course("a run", curves)
    assert found is not None
    return found


def has_color(figure: Figure, color: str) -> bool:
    wanted = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)])
    near: NDArray[np.bool_] = np.abs(pixels(figure).astype(int) - wanted).max(axis=2) < 12
    return bool(near.any())


def test_every_figure_draws_and_speaks() -> None:
    for plot in PLOTS.values():
        assert callable(plot.draw)
        assert callable(plot.words)


def test_a_collapse_is_told_with_what_the_classifier_gained_after_it() -> None:
    one = course(COLLAPSING)
    assert one.collapsed_at == 2
    assert one.gain_after_collapse == pytest.approx(0.1)
    said = collapse.words([one])
    assert said.startswith("a run: collapse in epoch 2, best accuracy afterwards +0.100;")
    assert "diversity 0.90 to 0.10, on class borders 0.10 to 0.30." in said


def test_a_collapse_at_the_end_has_nothing_after_it() -> None:
    one = course({**HEALTHY, "synthetic/diversity": [0.9, 0.8, 0.1]})
    assert one.gain_after_collapse is None
    assert "collapse in epoch 3, at the last epoch" in collapse.words([one])


def test_what_does_not_collapse_is_said_not_to() -> None:
    assert course(HEALTHY).collapsed_at is None
    assert "no collapse" in collapse.words([course(HEALTHY)])


def test_a_run_without_a_generator_has_no_course() -> None:
    assert collapse.course("a run", {"val/accuracy": [0.5]}) is None


def test_the_collapse_figure_shows_accuracy_and_diversity_of_every_run() -> None:
    figure = collapse.draw([course(HEALTHY), course(COLLAPSING)])
    assert len(figure.axes) == 2
    assert has_color(figure, HARD)
    assert has_color(figure, SYNTHETIC)


def spaces() -> tuple[NDArray[np.float32], list[str], NDArray[np.int64]]:
    """Return easy images at 0, hard ones at 10, and synthetic ones beside the hard."""
    generator = np.random.default_rng(0)
    kinds = ["easy"] * 20 + ["hard"] * 10 + ["synthetic"] * 10
    place = {"easy": 0.0, "hard": 10.0, "synthetic": 10.5}
    centres = np.array([place[kind] for kind in kinds])[:, None]
    found = (centres + generator.normal(0, 0.3, (40, 5))).astype(np.float32)
    return found, kinds, np.arange(40) % 2


def test_synthetic_images_beside_hard_ones_are_counted_against_chance() -> None:
    one = features.feature_map("a space", *spaces())
    # All ten are nearest to a hard image, of which there are ten among thirty real ones.
    assert one.hard_share == pytest.approx(3.0)
    assert one.positions.shape == (40, 2)
    said = features.words([one])
    assert said.startswith("t-SNE of 20 easy, 10 hard, 10 synthetic images. a space:")
    assert "hard 3.00 times as often as by chance" in said


def test_the_map_puts_like_features_near_each_other() -> None:
    one = features.feature_map("a space", *spaces())
    kinds = np.array(one.kinds)
    easy, hard, synthetic = (
        one.positions[kinds == kind].mean(axis=0) for kind in ("easy", "hard", "synthetic")
    )
    assert np.linalg.norm(synthetic - hard) < np.linalg.norm(synthetic - easy)
    figure = features.draw([one])
    assert has_color(figure, SYNTHETIC)


def test_the_same_features_give_the_same_map() -> None:
    one, other = (features.feature_map("a space", *spaces()).positions for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("channels", [1, 3])
def test_matched_images_are_shown_as_they_are(channels: int) -> None:
    hard = np.zeros((2, 3, 8, 8, channels), dtype=np.uint8)
    synthetic = np.full_like(hard, 255)
    shown = matches.Matches(["cat", "dog"], hard, synthetic)
    figure = matches.draw(shown)
    rows = [axes.images[0].get_array() for axes in figure.axes]
    assert [np.asarray(row).max() for row in rows] == [0, 255, 0, 255]
    assert figure.axes[0].get_ylabel() == "cat"
    assert "3 hard training images of each of 2 classes" in matches.words(shown)


def test_a_figure_becomes_a_file() -> None:
    assert png(collapse.draw([course(HEALTHY)])).startswith(b"\x89PNG")
