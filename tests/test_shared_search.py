"""Searches that share their stages: the same numbers as without, and each stage computed once."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.records.trials import WARMUP_GRID
from tests.commands import (
    ONE_AT_A_TIME,
    Run,
    inside,
    of_kind,
    read_events,
    rows,
    scalars,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]

# Two learning rates of the classifier: trials with the same one have a classifier in common, and
# the triplet stage too.
SPACE = ONE_AT_A_TIME.replace("min_epochs: 8", "min_epochs: 2").replace("{epochs: 9", "{epochs: 3")
SPACE = SPACE.replace(
    "  joint.margin:          uniform(0.05, 0.9)\n", "  classifier.lr: [1e-3, 3e-3]\n"
)
SPACE = SPACE.replace("num_trials: 3", "num_trials: 4")


class Pair(NamedTuple):
    """A study that shared its stages and one that did not, both of the same space."""

    sharing: Path
    alone: Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("pair")
    command = write_space(root, SPACE)
    inside(*command)
    inside(*command, "--name", "alone", "--no-shared-stages")
    return Pair(root / "runs/tiny", root / "runs/alone")


def test_sharing_changes_no_number(pair: Pair) -> None:
    for table in ("trials.csv", "epochs.csv"):
        assert rows(pair.sharing, table) == rows(pair.alone, table)
    assert len(rows(pair.sharing, "trials.csv")) == 4
    assert len({row["classifier.lr"] for row in rows(pair.sharing, "trials.csv")}) == 2
    (best,) = (pair.sharing / "best").iterdir()
    # The first line names the study.
    shared, alone = (path / "best" / best.name for path in (pair.sharing, pair.alone))
    assert shared.read_text().partition("\n")[2] == alone.read_text().partition("\n")[2]


def test_sharing_changes_no_curve(pair: Pair) -> None:
    for board in (pair.sharing / "tensorboard").iterdir():
        shared, alone = scalars(board), scalars(pair.alone / "tensorboard" / board.name)
        shared, alone = (
            {tag: values for tag, values in found.items() if "seconds" not in tag[0]}
            for found in (shared, alone)
        )
        # The picture of a warmed generator is that of the stage, where it is shared.
        assert [step for tag, step in alone if tag == WARMUP_GRID] == [10]
        assert shared == {tag: values for tag, values in alone.items() if tag[0] != WARMUP_GRID}
        assert {tag.partition("/")[0] for tag, _ in shared} >= {"classifier", "warmup", "triplet"}


def test_every_stage_is_computed_once_and_the_trials_that_took_it_are_told(pair: Pair) -> None:
    stages = of_kind(read_events(pair.sharing), "stage")
    names = [stage["name"].replace("shufflenet_v2_x0_5", "net") for stage in stages]
    assert sorted(names) == [
        "classifier/net lr=0.001",
        "classifier/net lr=0.003",
        "triplet/net lr=0.001",
        "triplet/net lr=0.003",
        "warmup",
    ]
    assert of_kind(read_events(pair.alone), "stage") == []
    result = CliRunner().invoke(app, ["status", str(pair.sharing), "--json"])
    status = json.loads(result.stdout)["stages"]
    hits = {stage["name"].split()[0].partition("/")[0]: 0 for stage in status}
    for stage in status:
        hits[stage["name"].split()[0].partition("/")[0]] += stage["hits"]
        spared = stage["hits"] * stage["seconds"]
        assert -stage["seconds"] * 1.01 <= stage["saved_s"] <= spared
    assert hits == {"classifier": 4, "triplet": 4, "warmup": 4}


def test_the_trials_without_sharing_computed_all_stages(pair: Pair) -> None:
    spent = [
        {key for row in rows_of(study) for key in row if key.startswith("seconds/") and row[key]}
        for study in pair
    ]
    assert spent == [
        {"seconds/joint"},
        {"seconds/classifier", "seconds/warmup", "seconds/triplet", "seconds/joint"},
    ]


def rows_of(study: Path) -> list[dict[str, str]]:
    with (study / "epochs.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_studies_that_run_at_once_compute_each_stage_once_between_them(tmp_path: Path) -> None:
    text = SPACE.replace("{epochs: 3", "{epochs: 1").replace("min_epochs: 2", "min_epochs: 1")
    command = write_space(tmp_path, text)
    searches = [Run(*command), Run(*command, "--name", "other", "--set", "search.seed=7")]
    assert [search.wait() for search in searches] == [0, 0], [s.output for s in searches]
    stages = [
        of_kind(read_events(tmp_path / f"runs/{name}"), "stage") for name in ("tiny", "other")
    ]
    keys = [{stage["key"] for stage in found} for found in stages]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 5
    computed = [stage["key"] for found in stages for stage in found if not stage["cached"]]
    assert sorted(computed) == sorted(keys[0])
    assert all(stage["cost_s"] > 0 for found in stages for stage in found)
    # With a single trial only the warm-up is worth to be shared, and is there already.
    inside(*command, "--name", "third", "--set", "search.num_trials=1")
    (third,) = of_kind(read_events(tmp_path / "runs/third"), "stage")
    assert (third["name"], third["cached"], third["seconds"]) == ("warmup", True, 0)
