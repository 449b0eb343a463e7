"""Nothing lost, proven by storms: ``pytest -m storm [--storm-kills N] [--storm-seed N]``."""

from pathlib import Path

import pytest

from tests.commands import (
    ONE_AT_A_TIME,
    STUDY,
    read_events,
    rows,
    run,
    scalars,
    unfinished,
    write_space,
)
from tests.storm import Storm, doubled_rows, lost_rows


def stormy(text: str, num_trials: int) -> str:
    """Return a study of many short trials, of which some are pruned."""
    search = f"search: {{num_trials: {num_trials}, min_epochs: 2, max_failures: 99}}"
    lines = [line for line in text.splitlines() if not line.startswith("search:")]
    return "\n".join([*lines, search, ""]).replace("joint: {epochs: 9", "joint: {epochs: 6")


def assert_all_accounted_for(storm: Storm, num_trials: int) -> None:
    """Check that the search came to its end with every trial and every row, once."""
    assert storm.exit_status == 0, storm.output
    table = rows(storm.study, "trials.csv")
    assert [int(row["number"]) for row in table] == list(range(num_trials))
    assert {row["state"] for row in table} <= {"complete", "pruned"}
    assert all(row["epochs"] == "2" for row in table if row["state"] == "pruned")
    assert unfinished(read_events(storm.study)) == set()
    assert lost_rows(storm.study) == []
    assert doubled_rows(storm.study) == []
    assert list(storm.study.rglob("checkpoint_*")) == []


def assert_same(one: Path, other: Path) -> None:
    """Check that two studies hold the same params, decisions, metrics and curves, to the bit."""
    for name in ("trials.csv", "epochs.csv"):
        assert rows(one, name) == rows(other, name)
    for best in (one / "best").iterdir():
        assert best.read_text() == (other / "best" / best.name).read_text()
    for board in (one / "tensorboard").iterdir():
        assert scalars(board) == scalars(other / "tensorboard" / board.name)


@pytest.mark.storm
def test_a_storm_over_one_trial_at_a_time_changes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    num_kills = request.config.getoption("storm_kills")
    num_trials = max(4, num_kills * 3 // 2)
    text = stormy(ONE_AT_A_TIME, num_trials)
    calm = tmp_path / "calm"
    calm.mkdir()
    run(*write_space(calm, text), patience_s=60 * num_trials)
    storm = Storm(tmp_path, text, request.config.getoption("storm_seed"), num_kills)
    with capsys.disabled():
        print(f"\n{storm.table()}")  # noqa: T201
    assert len(storm.kills) == num_kills, "the search was over before the storm was"
    assert_all_accounted_for(storm, num_trials)
    assert_same(calm / "runs/tiny", storm.study)


@pytest.mark.storm
def test_a_storm_over_two_trials_at_a_time_loses_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    num_kills = max(1, request.config.getoption("storm_kills") // 2)
    num_trials = max(6, num_kills * 3)
    text = stormy(STUDY, num_trials)
    storm = Storm(tmp_path, text, request.config.getoption("storm_seed") + 1, num_kills)
    with capsys.disabled():
        print(f"\n{storm.table()}")  # noqa: T201
    assert storm.kills
    assert_all_accounted_for(storm, num_trials)


@pytest.fixture(scope="module", params=range(5))
def seeded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str, Path]:
    """Return a seed, a study with that seed, and its directory after a calm run."""
    seed = request.param
    text = stormy(ONE_AT_A_TIME, 4).replace("search: {", f"search: {{seed: {seed}, ")
    root = tmp_path_factory.mktemp("calm")
    run(*write_space(root, text))
    return seed, text, root / "runs/tiny"


@pytest.mark.storm
@pytest.mark.parametrize("point", range(3))
def test_interrupted_is_uninterrupted(
    seeded: tuple[int, str, Path], point: int, tmp_path: Path
) -> None:
    seed, text, calm = seeded
    storm = Storm(tmp_path, text, seed=3 * seed + point, num_kills=1)
    assert len(storm.kills) == 1
    assert_all_accounted_for(storm, 4)
    assert_same(calm, storm.study)
