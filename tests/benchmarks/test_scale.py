"""The benchmark of long searches: what it compares, and that its search is a real one."""

from pathlib import Path

import pytest

from distill_tune.records.directory import StudyDirectory
from tests.benchmarks.empty_search import NUM_REPORTS
from tests.benchmarks.scale import HUNDRED, WARM_UP, Search, measure


def test_the_last_hundred_are_held_against_the_first_without_the_start() -> None:
    steps = [50.0] * WARM_UP + [1.0] * HUNDRED + [9.0] * 300 + [2.0] * HUNDRED
    ends = [sum(steps[:count]) for count in range(len(steps) + 1)]
    found = Search(ends, rss_mib=1, disk_mib=1, status_s=1, resume_s=1)
    assert found.growth == pytest.approx(2)
    assert found.seconds_per_trial == pytest.approx(3000 / 500)


@pytest.mark.storm
def test_its_search_is_recorded_as_any_other_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    found = measure(tmp_path, 14)
    study = tmp_path / "study"
    state = StudyDirectory(str(study)).state()
    assert len(found.ends) == 14
    assert state.warnings == ()
    ends = {(trial.status, trial.epochs) for trial in state.trials.values()}
    assert ("complete", NUM_REPORTS) in ends
    assert ends <= {("complete", NUM_REPORTS), ("pruned", 1)}
    assert [session.status for session in state.sessions] == ["finished", "finished"]
    assert len((study / "trials.csv").read_text().splitlines()) == 1 + 14
    assert list(study.rglob("checkpoint_*")) == []
    assert min(found.rss_mib, found.disk_mib, found.status_s, found.resume_s) > 0
