"""The recorded table is whole; a replay over it charges, prunes and tells apart as it should."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill_tune.study.sections import SamplerName
from distill_tune.study.space import Choice, LogUniform, Uniform
from tests.benchmarks.quality import arms, search_all, worth_finding
from tests.benchmarks.quality_replay import (
    NUM_SLOTS,
    Arm,
    Played,
    Replay,
    incumbents,
    three_values,
)
from tests.benchmarks.quality_samplers import rows, search_table
from tests.benchmarks.record_table import append, missing
from tests.benchmarks.recorded_table import (
    INFLUENCE,
    SEEDS,
    Floats,
    RecordedTable,
    Row,
    design,
    from_unit,
    read_rows,
    read_study,
    to_unit,
)

DIMENSIONS = {"a.x": Uniform(0, 1), "a.y": LogUniform(1e-4, 1)}
EPOCHS, START = 9, 0.5
BUDGET = 20 * (EPOCHS + START)
TPE = Arm(sampler="tpe", min_epochs=3)
ROW = Row(1, 2, {"a.x": 0.25, "a.y": 0.01}, 0.5, 0.25, (0.5, 0.75))


def easy(growth: Callable[[Floats], Floats]) -> RecordedTable:
    """Return a fine table with one best point; ``growth`` makes ``[n, epochs]`` of the worth."""
    steps = np.linspace(0, 1, 21)
    units = np.array([(0.05, 0.95), *((x, y) for x in steps for y in steps)])
    worth = 1 - np.abs(units - (0.7, 0.3)).sum(axis=1) / 2
    curves = np.repeat(growth(worth)[:, None], len(SEEDS), axis=1)
    params = tuple(from_unit(DIMENSIONS, unit) for unit in units)
    return RecordedTable(DIMENSIONS, params, curves, START)


def faithful(worth: Floats) -> Floats:
    """Curves that rise towards the worth and never cross."""
    grown: Floats = worth[:, None] * (1 - 0.5 ** np.arange(1, EPOCHS + 1))
    return grown


def misleading(worth: Floats) -> Floats:
    """Curves whose early order is the reverse of the last epoch's."""
    early = np.repeat(0.4 - 0.4 * worth[:, None], EPOCHS - 1, axis=1)
    return np.column_stack([early, worth])


EASY = easy(faithful)


def mean_found(table: RecordedTable, *ways: Arm) -> list[float]:
    found, _ = search_all(table, {str(n): arm for n, arm in enumerate(ways)}, 10)
    return [float(confirmed[:, -1].mean()) for confirmed in found.values()]


def test_the_recorded_table_is_whole() -> None:
    study = read_study()
    rows = read_rows()
    table = RecordedTable.read(study)
    points = len(table.params)
    assert points >= 96
    assert len(rows) == points * len(SEEDS)
    assert table.curves.shape == (points, len(SEEDS), study.max_epochs)
    assert np.isfinite(table.curves).all()
    assert (table.curves > 0).all()
    assert (table.curves <= 1).all()
    assert ((table.units >= 0) & (table.units <= 1)).all()
    assert 0 < table.start_epochs < study.max_epochs
    assert all(row.start_s > 0 and row.epoch_s > 0 for row in rows)
    assert missing(design(study)[:points], rows) == []


def test_the_default_configuration_is_the_first_point() -> None:
    study = read_study()
    joint = study.trial.joint
    defaults = design(study)[0]
    assert defaults["joint.margin"] == joint.margin
    assert defaults["joint.classifier_lr_factor"] == joint.classifier_lr_factor
    assert RecordedTable.read(study).nearest(defaults) == 0


def test_the_nearest_point_is_found_on_the_scale_of_each_dimension() -> None:
    point = np.array([0.25, 0.5])
    assert from_unit(DIMENSIONS, point) == {"a.x": 0.25, "a.y": 0.01}
    assert to_unit(DIMENSIONS, {"a.x": 0.25, "a.y": 0.01}) == pytest.approx(point)
    params = ({"a.x": 0.5, "a.y": 1e-4}, {"a.x": 0.5, "a.y": 1.0})
    table = RecordedTable(DIMENSIONS, params, np.zeros((2, 2, 1)), START)
    assert [table.nearest({"a.x": 0.5, "a.y": y}) for y in (9e-3, 1.1e-2)] == [0, 1]
    with pytest.raises(TypeError, match="expected a range"):
        to_unit({"a.z": Choice(("u", "v"))}, {"a.z": 0.0})


def test_the_seen_seed_is_searched_and_the_others_confirm() -> None:
    curves = np.array([[[0.1, 0.4, 0.3], [0.5, 0.7, 0.6], [0.9, 0.8, 0.8]]])
    table = RecordedTable(DIMENSIONS, ({"a.x": 0.5, "a.y": 0.1},), curves, START)
    assert table.seen == pytest.approx([0.4])
    assert table.confirmed == pytest.approx([0.8])
    replay = Replay(table, Arm(sampler="random", min_epochs=None), seed=0)
    replay.run(12)
    assert replay.trials[0].bests == pytest.approx([0.1, 0.4, 0.4])


def test_a_recording_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    points = [{"a.x": 0.5, "a.y": 0.1}, ROW.params]
    assert len(missing(points, read_rows(path))) == 2 * len(SEEDS)
    append(ROW, path)
    append(Row(0, 0, points[0], 0.5, 0.25, (0.25, 0.5)), path)
    assert read_rows(path)[0] == ROW
    left = missing(points, read_rows(path))
    assert [(run.point, run.seed) for run in left] == [(0, 1), (0, 2), (1, 0), (1, 1)]
    with pytest.raises(ValueError, match=r"point 1: .* another study's table"):
        missing([points[0], points[0]], read_rows(path))


def test_the_same_seed_gives_the_same_search_and_another_another() -> None:
    replays = [Replay(EASY, TPE, seed) for seed in (3, 3, 4)]
    for replay in replays:
        replay.run(BUDGET)
    first, again, other = (replay.trials for replay in replays)
    assert first == again
    assert [trial.point for trial in first] != [trial.point for trial in other]
    assert first[0].point == other[0].point == 0


@pytest.mark.parametrize("arm", arms(3).values(), ids=list(arms(3)))
def test_every_epoch_and_every_start_is_paid_for(arm: Arm) -> None:
    replay = Replay(EASY, arm, seed=0)
    replay.run(BUDGET)
    for trial in replay.trials:
        assert len(trial.costs) == len(trial.bests)
        assert np.diff(trial.costs) == pytest.approx(NUM_SLOTS)
    over = [trial for trial in replay.trials if trial.status != "running"]
    paid = sum(len(trial.bests) + START for trial in over)
    running = [trial for trial in replay.trials if trial.status == "running"]
    assert len(running) == NUM_SLOTS
    paid += sum(len(trial.bests) + START for trial in running if trial.bests)
    assert paid <= BUDGET
    assert paid > BUDGET - NUM_SLOTS * (START + 1)
    last = max(cost for trial in replay.trials for cost in trial.costs)
    assert BUDGET - NUM_SLOTS < last <= BUDGET


def test_a_pruned_trial_ends_at_its_rung_and_a_complete_one_at_the_last_epoch() -> None:
    pruning, whole = Replay(EASY, TPE, seed=1), Replay(EASY, arms(3)["TPE"], seed=1)
    for replay in (pruning, whole):
        replay.run(BUDGET)
    lengths = {
        status: {len(trial.bests) for trial in pruning.trials if trial.status == status}
        for status in ("pruned", "complete")
    }
    assert lengths == {"pruned": {3}, "complete": {EPOCHS}}
    assert {trial.status for trial in whole.trials} == {"complete", "running"}
    assert len(pruning.trials) > len(whole.trials)


def test_a_complete_trial_wins_before_a_higher_running_one() -> None:
    replay = Replay(EASY, TPE, seed=0)
    whole = [2.0 * epoch for epoch in range(1, EPOCHS + 1)]
    replay.trials = [
        Played(0, 5, costs=whole, bests=[0.3] * EPOCHS, status="complete"),
        Played(1, 6, costs=[2], bests=[0.9]),
        Played(2, 7, costs=[2], bests=[0.9]),
    ]
    points = [winner.point for winner in incumbents(replay, whole[-1], (0.5, 1.0))]
    assert points == [6, 5]
    with pytest.raises(ValueError, match="expected one whole epoch"):
        list(incumbents(replay, whole[-1], (0.1,)))


def test_on_an_easy_table_tpe_beats_random_search() -> None:
    tpe, random = mean_found(EASY, *(arms(3)[name] for name in ("TPE", "random")))
    assert tpe > random + 0.02


def test_pruning_pays_where_the_early_order_is_the_last_and_harms_where_it_is_not() -> None:
    ways = [arms(3)[name] for name in ("random + ASHA", "random")]
    pruned, whole = mean_found(EASY, *ways)
    assert pruned > whole
    pruned, whole = mean_found(easy(misleading), *ways)
    assert pruned < whole


def test_what_a_table_holds_is_told() -> None:
    numbers = worth_finding(EASY)
    noise = "seed noise of a point, sd, with / without what a seed does to every point"
    assert numbers["correlation of seen and confirmed"] == "1.00"
    assert numbers[noise] == "0.0000 / 0.0000"
    shifted = replace(EASY, curves=EASY.curves + np.array([0, 0.1, -0.1])[:, None])
    assert worth_finding(shifted)[noise] == "0.1414 / 0.0000"
    reverse = worth_finding(easy(misleading))
    assert reverse["rank correlation of a third of the epochs with all of them"] == "-1.00"


@pytest.mark.parametrize("sampler", ["random", "qmc", "cmaes", "grid"])
def test_every_sampler_searches_a_table_from_the_default_on(sampler: SamplerName) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    replay = Replay(EASY, Arm(sampler=sampler, min_epochs=3), seed=0)
    replay.run(BUDGET)
    points = [trial.point for trial in replay.trials]
    assert points[0] == 0
    # The grid has nine points, and begins again when they are over.
    assert len(set(points)) == 9 if sampler == "grid" else len(set(points)) > len(points) / 2


def test_the_grid_over_a_table_has_three_values_with_the_default() -> None:
    grid = three_values(EASY)
    assert list(grid) == list(DIMENSIONS)
    for path, dimension in grid.items():
        assert len(dimension.choices) == 3
        assert EASY.params[0][path] in dimension.choices
        assert all(DIMENSIONS[path].holds(value) for value in dimension.choices)


def test_samplers_are_compared_with_the_default_one_search_by_search() -> None:
    found = search_table(INFLUENCE, ("tpe", "random"), 6)
    assert [searches.confirmed.shape for searches in found.values()] == [(6, 3)] * 2
    assert all(searches.cpu_s > 0 for searches in found.values())
    told = dict(rows("influence", found))
    assert list(told) == [f"{name} on the table of influence, 6 searches" for name in found]
    difference = np.mean(found["random"].confirmed[:, -1] - found["tpe"].confirmed[:, -1])
    assert [f"minus tpe {difference:+.4f} (" in text for text in told.values()] == [False, True]
