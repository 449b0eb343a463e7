"""The analysis of influence finds effects that are known, and none where there is none."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import qmc

from distill_tune.study.space import Uniform
from tests.benchmarks.influence import dimensions, searches, turned
from tests.benchmarks.influence_analysis import Influence, curves, fit, influence, variances
from tests.benchmarks.record_table import missing
from tests.benchmarks.recorded_table import (
    INFLUENCE,
    SEEDS,
    Floats,
    RecordedTable,
    design,
    read_rows,
    read_study,
)
from tests.benchmarks.results import as_object

NUM_POINTS, NUM_SEEDS = 64, 3
UNITS = qmc.Sobol(4, scramble=True, seed=1).random_base2(6)
PATHS = ("a.line", "a.parabola", "a.cross", "a.idle")


def table_of(worth: Floats, *, block: float, noise: float, seed: int = 0) -> Floats:
    """Return runs ``[NUM_POINTS, NUM_SEEDS]`` of points that are worth so much."""
    random = np.random.default_rng(seed)
    of_seeds = block * np.array([-1.0, 0.0, 1.0])
    return worth[:, None] + of_seeds + noise * random.standard_normal((NUM_POINTS, NUM_SEEDS))


def known(noise: float = 0.0, block: float = 0.0) -> Influence:
    """Return what is found where the line's variance is 4, the parabola's 1, the cross term's 1."""
    terms = curves(UNITS)
    cross = terms[:, 1, 0] * terms[:, 2, 0]
    worth = 2 * terms[:, 0, 0] - terms[:, 1, 1] + cross / cross.std()
    return influence(UNITS, table_of(worth, block=block, noise=noise))


def recorded(values: Floats, epochs: int = 6) -> RecordedTable:
    """Return a table whose curves rise to the values."""
    growth = 1 - 0.5 ** np.arange(1, epochs + 1)
    return RecordedTable(
        {path: Uniform(0, 1) for path in PATHS},
        tuple(dict(zip(PATHS, point, strict=True)) for point in UNITS.tolist()),
        values[:, :, None] * growth,
        0.5,
    )


def test_shares_are_those_that_a_table_was_made_with() -> None:
    found = known()
    shares = [effect.share for effect in found.effects]
    assert shares == pytest.approx([4 / 6, 1 / 6, 0, 0], abs=0.03)
    assert found.other_share == pytest.approx(1 / 6, abs=0.05)
    assert found.seed_share == pytest.approx(0, abs=1e-9)


def test_what_seeds_do_is_told_apart_from_what_points_do() -> None:
    found = known(noise=1.0, block=np.sqrt(3.0))
    # 6 of the points, 3 of what a seed does to all, 1 of noise.
    assert found.seed_share == pytest.approx(0.4, abs=0.06)
    assert found.block_share == pytest.approx(0.3, abs=0.06)
    assert found.effects[0].share == pytest.approx(0.4, abs=0.06)
    total = found.seed_share + found.other_share + sum(effect.share for effect in found.effects)
    assert total == pytest.approx(1, abs=1e-9)


def test_noise_alone_leaves_nothing_to_the_dimensions() -> None:
    found = influence(UNITS, table_of(np.zeros(NUM_POINTS), block=0, noise=1.0))
    assert found.seed_share > 0.9
    assert max(effect.share for effect in found.effects) < 0.04


def test_a_line_is_a_slope_and_a_parabola_a_curvature() -> None:
    line, parabola, _, idle = known(noise=0.5).effects
    assert line.slope.value == pytest.approx(2, abs=0.4)
    assert line.slope.low < 2 < line.slope.high
    assert line.slope.leaves_zero
    assert not line.curvature.leaves_zero
    assert parabola.curvature.value == pytest.approx(-1, abs=0.4)
    assert parabola.curvature.leaves_zero
    assert not parabola.slope.leaves_zero
    assert line.acts
    assert parabola.acts
    assert not idle.acts
    assert idle.slope.low < 0 < idle.slope.high


def test_a_shift_of_all_points_by_a_seed_widens_no_interval() -> None:
    calm, moved = known(noise=0.5).effects[0], known(noise=0.5, block=9.0).effects[0]
    assert moved.slope == pytest.approx(calm.slope)
    assert moved.share < calm.share


def test_an_idle_dimension_rarely_acts() -> None:
    acting = [
        effect.acts
        for seed in range(5)
        for effect in influence(
            UNITS, table_of(np.zeros(NUM_POINTS), block=1.0, noise=1.0, seed=seed)
        ).effects
    ]
    assert sum(acting) <= 4


def test_variance_components_are_those_of_a_table() -> None:
    random = np.random.default_rng(0)
    points, seeds = random.normal(0, 2, (4000, 1)), np.array([[-1.0, 0.0, 1.0]])
    found = variances(points + seeds + random.normal(0, 0.5, (4000, 3)))
    assert found == pytest.approx((4, 1, 0.25), rel=0.06)


def test_the_fit_recovers_its_coefficients() -> None:
    terms = curves(UNITS)
    wanted = np.array([[1.0, 0.5], [0.0, -2.0], [3.0, 0.0], [0.0, 0.0]])
    assert fit(terms, 7 + (terms * wanted).sum(axis=(1, 2))) == pytest.approx(wanted)


def test_every_seed_is_once_the_seen_one() -> None:
    table = recorded(table_of(np.full(NUM_POINTS, 0.5), block=0.1, noise=0))
    first = [turned(table, seed).seen[0] for seed in range(NUM_SEEDS)]
    assert first == pytest.approx(table.curves[0].max(axis=1))
    assert turned(table, 1).confirmed[0] == pytest.approx((first[2] + first[0]) / 2)


def test_what_json_prints_is_shares_seeds_and_the_gain() -> None:
    terms = curves(UNITS)
    worth = 0.7 + 0.05 * terms[:, 0, 0] - 0.05 * terms[:, 1, 1]
    table = recorded(table_of(worth, block=0.01, noise=0.001))
    printed = as_object([dimensions(table), searches(table, 2, 12)])
    assert list(printed["shares"]) == list(PATHS)
    assert printed["shares"]["a.line"] > 0.3
    assert printed["shares"]["a.idle"] < 0.05
    assert 0 < printed["seed_share"] < 0.5
    gain = printed["gain_over_random"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert printed["results"][0]["ratio"] == 2
    assert printed["results"][0]["is_met"]


def test_the_study_searches_the_four_shipped_dimensions_alone() -> None:
    study = read_study(INFLUENCE.study)
    assert list(study.space.dimensions) == [
        "joint.margin",
        "joint.synthetic_ratio",
        "joint.hard_threshold",
        "joint.gan_lr",
    ]
    shipped = read_study(Path(__file__).parents[2] / "search_spaces" / "resnet.yaml")
    assert study.space == shipped.space


def test_the_recorded_table_is_whole() -> None:
    study = read_study(INFLUENCE.study)
    table = RecordedTable.read(study, INFLUENCE.table)
    rows = read_rows(INFLUENCE.table)
    points = len(table.params)
    assert points >= 64
    assert len(SEEDS) >= 3
    assert len(rows) == points * len(SEEDS)
    assert table.curves.shape == (points, len(SEEDS), study.max_epochs)
    assert ((table.curves > 0) & (table.curves <= 1)).all()
    assert missing(design(study)[:points], rows) == []
    # Runs are of their own: no two seeds of a point have the same curve.
    assert len({row.values for row in rows}) == len(rows)


def test_without_a_table_the_way_to_one_is_told(tmp_path: Path) -> None:
    study = read_study(INFLUENCE.study)
    with pytest.raises(FileNotFoundError, match=r"record_table"):
        RecordedTable.read(study, tmp_path / "none.csv")
