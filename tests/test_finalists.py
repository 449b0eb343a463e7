"""A search whose finalists are killed, or that a rule stops, ends as the one left alone."""

import signal
from pathlib import Path

import pytest

from distill_tune import load_study
from distill_tune.study.validation import read_yaml
from tests.commands import ONE_AT_A_TIME, Run, inside, of_kind, read_events, rows, write_space

pytestmark = [pytest.mark.storm, pytest.mark.usefixtures("our_ray")]

BACKBONE = "shufflenet_v2_x0_5"
TEXT = (
    ONE_AT_A_TIME.replace("{epochs: 9", "{epochs: 4")
    .replace("min_epochs: 8", "min_epochs: 4")
    .replace("num_trials: 3", "num_trials: 2")
    .replace("controls: []", "controls: [baseline], finalists: {top: 2, seeds: 2}, keep_top: 1")
)


def is_in_the_finals(study: Path) -> bool:
    """Return whether a finalist is over and another one has an epoch behind it."""
    events = read_events(study)
    over = {event["name"] for event in of_kind(events, "extra_ended") if "final" in event["name"]}
    begun = {event["name"] for event in of_kind(events, "extra_epoch") if "final" in event["name"]}
    return bool(over) and bool(begun - over)


def test_killed_finalists_end_as_those_left_alone(tmp_path: Path) -> None:
    command = write_space(tmp_path, TEXT)
    said = inside(*command, "--name", "whole").output
    whole, study = tmp_path / "runs/whole", tmp_path / "runs/tiny"
    killed = Run(*command)
    killed.wait_until(lambda: is_in_the_finals(study))
    killed.send(signal.SIGKILL)
    killed.wait()
    inside("resume", str(study))
    for name in ("trials.csv", "epochs.csv"):
        assert rows(study, name) == rows(whole, name)
    kinds = [row["kind"] for row in rows(study, "trials.csv")]
    assert kinds == ["trial"] * 2 + ["control"] + ["finalist"] * 2
    found = load_study(study)
    (first, second) = found.finalists[BACKBONE]
    assert first.mean is not None
    assert second.mean is not None
    assert first.mean >= second.mean
    assert found.best[BACKBONE].name == first.name
    assert "has the highest mean of 2 finalists on 2 seeds" in " ".join(said.split())
    model = found.best[BACKBONE].model
    assert model is not None
    told = read_yaml(Path(model) / "model.yaml").value["finalist"]
    assert (told["mean"], told["is_winner"]) == (first.mean, True)
    stages = [event["name"] for event in of_kind(read_events(whole), "stage")]
    assert [name for name in stages if "seed=" in name] == [
        "warmup seed=10001",
        f"classifier/{BACKBONE} seed=10001",
        f"triplet/{BACKBONE} seed=10001",
    ]


def test_a_search_that_a_rule_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    text = TEXT.replace("controls: [baseline], finalists: {top: 2, seeds: 2}, ", "controls: [], ")
    command = write_space(tmp_path, text)
    inside(*command, "--name", "whole")
    whole, study = tmp_path / "runs/whole", tmp_path / "runs/tiny"
    said = inside(*command, "--set", "search.stop.value=0").output
    assert load_study(study).status == "stopped"
    assert "stopping: val/accuracy" in " ".join(said.split())
    assert "stopped after 1 of 2 trials: val/accuracy" in " ".join(said.split())
    assert len(rows(study, "trials.csv")) == 1
    again = inside("resume", str(study)).output
    assert "stopped after 1 of 2 trials" in " ".join(again.split())
    inside("resume", str(study), "--set", "search.stop.value=0.99")
    for name in ("trials.csv", "epochs.csv"):
        assert rows(study, name) == rows(whole, name)
