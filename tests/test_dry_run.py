"""A dry run as users see it: what it says, what it refuses, and that it leaves nothing behind."""

import json
from pathlib import Path

import pytest

from tests.commands import STUDY, inside, write_space
from tests.refusals import refused, write

DRAWN = [
    {"backbone": "squeezenet1_1", "number": 0},
    {"backbone": "shufflenet_v2_x0_5", "number": 1},
    {"backbone": "squeezenet1_1", "number": 2},
]


@pytest.mark.usefixtures("our_ray")
def test_a_dry_run_says_what_a_search_takes_and_writes_nothing(tmp_path: Path) -> None:
    command = write_space(tmp_path, STUDY)
    done = inside(*command, "--dry-run", "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    # The defaults first, for each backbone; then what the study's own sampler draws.
    assert [
        {key: one[key] for key in ("backbone", "number")} for one in found["proposals"]
    ] == DRAWN
    assert found["proposals"][0]["params"]["joint.margin"] == 0.3
    assert found["proposals"][2]["params"]["joint.margin"] != 0.3
    assert list(found["stages_s"]) == ["squeezenet1_1", "shufflenet_v2_x0_5"]
    names = ["warmup", "classifier/squeezenet1_1", "classifier/shufflenet_v2_x0_5"]
    assert [job["name"] for job in found["shared"]] == names
    assert [rung["epoch"] for rung in found["rungs"]] == [2]
    assert 2 < found["epochs_per_trial"] < 4
    assert 0 < found["hours"] < found["hours_unpruned"] < 1
    assert all(size > 0 for size in found["disk_bytes"].values())
    for title in ("space", "first proposals", "measured, seconds", "stages", "rungs", "disk"):
        assert f"\n{title}" in done.stderr
    assert "uniform" in done.stderr
    assert "(0.05, 0.9)" in done.stderr
    assert "Nothing was written. The search would take about " in done.stderr


def test_mistakes_are_told_as_by_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("uniform(0.05, 0.9)", "uniform(0.9, 0.05)")
    dry = ("search", "--space", "bad.yaml", "--dry-run")
    assert refused(*dry) == (
        "bad.yaml:9:17: space.joint.margin: got 'uniform(0.9, 0.05)', expected min below max"
    )
    assert refused(*dry, "--resume") == "--dry-run: got --resume too, expected one of them"
    write()
    Path("runs/bad").mkdir(parents=True)
    Path("runs/bad/study.yaml").touch()
    assert refused(*dry).startswith("runs/bad: got a study that already exists")
    said = "bad: a dry run, nothing is written; starting Ray on nonsense\n"
    assert refused(
        *dry, "--name", "bad", "--storage", "other", "--address", "nonsense", stdout=said
    )
