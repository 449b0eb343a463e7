"""Figures of a confirmation: what they say in words, and that they are really drawn."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill_tune.model.figures import PLOTS, collapse, features, matches
from distill_tune.model.figures.figure import HARD, SELECTED, SYNTHETIC, pixels, png

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
    assert said.startswith("Diversity: mean distance between two synthetic images of a class over")
    assert "a run: collapse in epoch 2, best accuracy afterwards +0.100;" in said
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


CLASSES = ["cat", "dog"]
Features = tuple[NDArray[np.float32], list[str], NDArray[np.int64], list[str]]


def spaces(place: float = 10.5) -> Features:
    """Return easy images at 0, hard ones at 10, and synthetic ones, by default beside the hard."""
    generator = np.random.default_rng(0)
    kinds = ["easy"] * 20 + ["hard"] * 10 + ["synthetic"] * 10
    places = {"easy": 0.0, "hard": 10.0, "synthetic": place}
    centres = np.array([places[kind] for kind in kinds])[:, None]
    found = (centres + generator.normal(0, 0.3, (40, 5))).astype(np.float32)
    return found, kinds, np.arange(40) % 2, CLASSES


@pytest.mark.parametrize(("place", "nearer"), [(10.5, "hard"), (0.5, "easy")])
def test_the_distances_tell_which_images_the_synthetic_ones_are_like(
    place: float, nearer: str
) -> None:
    one = features.feature_map("a space", *spaces(place))
    assert one.positions.shape == (40, 2)
    assert (one.distances.to_hard < one.distances.to_easy) is (nearer == "hard")
    said = features.words([one])
    assert said.startswith("t-SNE of 20 easy, 10 hard, 10 synthetic images; easy and hard as")
    assert f"a space: {one.distances.text}, nearer to {nearer} images." in said
    assert one.of_selected is None


def shell(kind: str, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return 40 images in 64 dimensions: easy at the centre of the class, others far around it."""
    found = generator.normal(0, 0.02, (40, 64))
    if kind != "easy":
        found = generator.normal(0, 1, (40, 64))
    return found.astype(np.float32)


def test_synthetic_images_distributed_like_hard_ones_are_nearer_to_them() -> None:
    """In many dimensions, the nearest neighbour even of a hard image is an easy one."""
    generator = np.random.default_rng(0)
    kinds = ["easy"] * 40 + ["hard"] * 40 + ["synthetic"] * 40
    found = np.concatenate([shell(kind, generator) for kind in ("easy", "hard", "synthetic")])
    nearest = np.linalg.norm(found[80:, None] - found[None, :80], axis=2).argmin(axis=1)
    assert (nearest < 40).all()
    one = features.feature_map("a space", found, kinds, np.arange(120) % 2, CLASSES).distances
    assert abs(one.to_hard) < 0.02 * one.easy_to_hard
    assert one.to_easy == pytest.approx(one.easy_to_hard, rel=0.1)


def test_a_difference_within_its_error_is_not_called_one() -> None:
    generator = np.random.default_rng(0)
    kinds = ["easy"] * 50 + ["hard"] * 50 + ["synthetic"] * 50
    found = generator.normal(0, 1, (150, 16)).astype(np.float32)
    one = features.feature_map("a space", found, kinds, np.arange(150) % 10, CLASSES * 5)
    assert "no clear difference" in one.distances.verdict
    assert f"standard error {one.distances.error:.2f})." in features.words([one])


def test_easy_and_hard_images_of_other_classes_do_not_count() -> None:
    """Synthetic images of a class are its hard ones, wherever other classes lie."""
    found, kinds, labels, classes = spaces()
    found[labels == 1] += 100
    moved = features.feature_map("a space", found, kinds, labels, classes).distances
    expected = features.feature_map("a space", *spaces()).distances
    assert moved.to_hard == pytest.approx(expected.to_hard, abs=1e-3)
    assert moved.to_easy == pytest.approx(expected.to_easy, abs=1e-3)


def test_selected_images_have_distances_and_a_colour_of_their_own() -> None:
    found, kinds, labels, classes = spaces(5.0)
    found[-4:], kinds[-4:] = 10.0, ["selected"] * 4
    one = features.feature_map("a space", found, kinds, labels, classes)
    assert one.of_selected is not None
    assert one.of_selected.to_hard < one.distances.to_hard
    assert has_color(features.draw([one]), SELECTED)
    assert f"selected for the classifier: {one.of_selected.text}, nearer to hard" in features.words(
        [one]
    )


def test_a_class_with_a_single_hard_image_has_no_distance() -> None:
    found, kinds, _labels, classes = spaces()
    one = features.feature_map("a space", found, kinds, np.arange(40), classes * 20)
    assert np.isnan(one.distances.to_hard)
    assert "a space: unknown, as no two classes have two images" in features.words([one])


def test_the_map_puts_like_features_near_each_other() -> None:
    one = features.feature_map("a space", *spaces())
    kinds = np.array(one.kinds)
    easy, hard, synthetic = (
        one.positions[kinds == kind].mean(axis=0) for kind in ("easy", "hard", "synthetic")
    )
    assert np.linalg.norm(synthetic - hard) < np.linalg.norm(synthetic - easy)
    figure = features.draw([one])
    assert has_color(figure, SYNTHETIC)
    assert {text.get_text() for text in figure.axes[0].texts} == {"cat", "dog"}


def test_no_name_of_a_class_covers_another() -> None:
    one = features.feature_map("a space", *spaces())
    many = one._replace(labels=np.arange(40) % 5, classes=["cat", "dog", "deer", "horse", "frog"])
    crowded = many._replace(positions=np.random.default_rng(0).normal(size=(40, 2)))
    figure = features.draw([crowded])
    figure.draw_without_rendering()
    boxes = [name.get_window_extent() for name in figure.axes[0].texts]
    assert len(boxes) == 5
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_the_same_features_give_the_same_map() -> None:
    one, other = (features.feature_map("a space", *spaces()).positions for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("channels", [1, 3])
def test_matched_images_are_shown_as_they_are(channels: int) -> None:
    hard = [np.zeros((count, 8, 8, channels), dtype=np.uint8) for count in (3, 2)]
    synthetic = [np.full_like(images, 255) for images in hard]
    shown = matches.Matches(["cat", "dog"], hard, synthetic)
    figure = matches.draw(shown)
    rows = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert [row.min() for row in rows] == [0, 255, 0, 255]
    # Three images of eight pixels with gaps of one; a class with fewer leaves white.
    assert {row.shape[:2] for row in rows} == {(8, 26)}
    assert [int((row.reshape(8, 26, -1)[0, :, 0] == 0).sum()) for row in rows] == [24, 0, 16, 0]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["cat", "dog"]
    assert "2 to 3 hard training images of each of 2 classes" in matches.words(shown)


def test_a_figure_becomes_a_file() -> None:
    assert png(collapse.draw([course(HEALTHY)])).startswith(b"\x89PNG")
