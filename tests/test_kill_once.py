"""A search that is killed and resumed ends as the one that was left alone."""

import signal
from pathlib import Path

import pytest

from tests.commands import (
    ONE_AT_A_TIME,
    Run,
    assert_nothing_is_doubled,
    inside,
    is_mid_way,
    of_kind,
    read_events,
    rows,
    write_space,
)
from tests.tuning.proposed import assert_proposals_follow_from_records

pytestmark = pytest.mark.usefixtures("our_ray")

TEXT = (
    ONE_AT_A_TIME.replace("{epochs: 9", "{epochs: 4")
    .replace("min_epochs: 8", "min_epochs: 4")
    .replace("num_trials: 3", "num_trials: 2")
    .replace("controls: []", "controls: [equal_steps], sampler: gp")
)


def test_a_killed_search_ends_as_the_one_left_alone(tmp_path: Path) -> None:
    command = write_space(tmp_path, TEXT)
    inside(*command, "--name", "whole")
    whole, study = tmp_path / "runs/whole", tmp_path / "runs/tiny"
    killed = Run(*command)
    killed.wait_until(lambda: is_mid_way(study))
    killed.send(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    log = read_events(study)
    assert not of_kind(log, "session_ended")
    inside("resume", str(study))
    for name in ("trials.csv", "epochs.csv"):
        assert rows(study, name) == rows(whole, name)
    controls = [row for row in rows(study, "trials.csv") if row["kind"] == "control"]
    assert [row["name"] for row in controls] == ["control-shufflenet_v2_x0_5-equal_steps"]
    assert (controls[0]["state"], controls[0]["epochs"]) == ("complete", "4")
    assert len(of_kind(read_events(study), "extra_epoch")) == 4
    best = "best/shufflenet_v2_x0_5.yaml"
    configs = [(root / best).read_text().partition("\n")[2] for root in (study, whole)]
    assert configs[0] == configs[1]
    assert_nothing_is_doubled(study)
    assert_proposals_follow_from_records(study, "gp", 2)
