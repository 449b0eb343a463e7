"""A search that continues another one with a wider space, stopped and undisturbed."""

import shutil
from pathlib import Path

import pytest

from tests.commands import ONE_AT_A_TIME, inside, of_kind, read_events, rows, write_space

pytestmark = [pytest.mark.storm, pytest.mark.usefixtures("our_ray")]


def test_a_continuation_that_was_stopped_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    narrow = ONE_AT_A_TIME.replace("uniform(0.05, 0.9)", "uniform(0.05, 0.5)")
    narrow = narrow.replace("num_trials: 3", "num_trials: 2")
    inside(*write_space(tmp_path, narrow.replace("study: tiny", "study: narrow")))
    wide = write_space(tmp_path, ONE_AT_A_TIME)
    continued = ["--continue-from", str(tmp_path / "runs/narrow")]
    done = inside(*wide, *continued)
    assert "2 of 2 trials count (shufflenet_v2_x0_5 2)" in done.stdout
    undisturbed, stopped = tmp_path / "runs/tiny", tmp_path / "other/tiny"
    inside(*wide, *continued, "--storage", str(stopped.parent), "--time-budget", "4")
    (end,) = of_kind(read_events(stopped), "session_ended")
    assert end["status"] == "time_budget"
    # All that counts is in the log.
    shutil.rmtree(tmp_path / "runs/narrow")
    inside("resume", str(stopped), "--time-budget", "3600")
    assert rows(stopped, "trials.csv") == rows(undisturbed, "trials.csv")
    assert rows(stopped, "epochs.csv") == rows(undisturbed, "epochs.csv")
    continuing = rows(stopped, "trials.csv")[3:]
    assert [row["kind"] for row in continuing] == ["continued"] * 2
    assert [row["name"] for row in continuing] == [
        f"narrow/shufflenet_v2_x0_5-000{number}" for number in range(2)
    ]
    status = " ".join(inside("status", str(stopped)).stdout.split())
    text = "shufflenet_v2_x0_5 continues 2 trials of other studies, which were not run again"
    assert text in status
