"""A study of before the package had its present rooms is read, and resumed to its end.

``old_study/`` is what a killed search left: the first of three trials was over, the second had
reported one epoch. Its checkpoint is not there: it is larger than what a repository should hold.
"""

import shutil
from pathlib import Path

import pytest

from distill_tune import load_study
from tests.commands import inside, of_kind, read_events, rows

OLD = Path(__file__).with_name("old_study")


def copied(tmp_path: Path) -> Path:
    study = tmp_path / "runs/tiny"
    shutil.copytree(OLD, study)
    return study


def test_it_is_read(tmp_path: Path) -> None:
    study = load_study(copied(tmp_path))
    assert [trial.status for trial in study.trials] == ["complete", "running"]
    assert [len(trial.history) for trial in study.trials] == [3, 1]
    assert study.best["shufflenet_v2_x0_5"].name == "shufflenet_v2_x0_5-0000"
    assert study.best["shufflenet_v2_x0_5"].value == 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("our_ray")
def test_it_is_resumed_to_its_end(tmp_path: Path) -> None:
    study = copied(tmp_path)
    before = load_study(study).trials
    inside("resume", str(study))
    pairs = [(row["number"], row["epoch"]) for row in rows(study, "epochs.csv")]
    assert len(pairs) == len(set(pairs)) == 9
    assert [row["state"] for row in rows(study, "trials.csv")] == ["complete"] * 3
    after = load_study(study).trials
    assert after[0].history == before[0].history
    # Begun again, it proposes what it did before. Its values may differ: another processor made
    # those of the study.
    assert after[1].params == before[1].params
    told = [event for event in of_kind(read_events(study), "epoch") if event["trial"] == 1]
    assert [event["epoch"] for event in told] == [1, 1, 2, 3]
