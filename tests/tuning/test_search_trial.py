"""The trial of a search alone: what it reports as its objective."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from distill_tune.distill.trial import Report
from distill_tune.records.directory import STUDY_FILE
from distill_tune.records.trials import OBJECTIVE, STAGE_ONE_OBJECTIVE
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.search_trial import SearchContext, SearchTrial
from tests.commands import ONE_AT_A_TIME

EQUAL_STEPS = {"kind": "control", "name": "control-x", "arm": "equal_steps", "seed": 0}
PROPOSAL = {"backbone": "shufflenet_v2_x0_5", "number": 0, "params": {"joint.margin": 0.5}}


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[SearchTrial]:
    study = parse(Study, read_yaml_text(ONE_AT_A_TIME, "tiny.yaml"))
    (tmp_path / STUDY_FILE).touch()
    search = SearchContext(study, study.data.load(), str(tmp_path), is_sharing=False)
    trial = SearchTrial(search, PROPOSAL, torch.device("cpu"))
    yield trial
    trial.close()


def test_the_objective_is_the_best_epoch_so_far(trial: SearchTrial) -> None:
    def with_accuracy(value: float, reports: Iterator[Report]) -> Iterator[Report]:
        for report in reports:
            yield report._replace(metrics={**report.metrics, "val/accuracy": value})

    told = [
        trial.next_epoch(lambda reports, value=value: with_accuracy(value, reports))[OBJECTIVE]  # type: ignore[misc]
        for value in (0.6, 0.4, 0.7)
    ]
    assert told == [0.6, 0.6, 0.7]


def complete_models(root: Path, numbers: Iterable[int], epochs: int = 2) -> None:
    for number in numbers:
        folder = root / f"models/shufflenet_v2_x0_5-{number:04d}"
        folder.mkdir(parents=True)
        (folder / "model.yaml").write_text(f"made: {{epochs: {epochs}}}\n")


@pytest.mark.parametrize(("complete", "is_written"), [((1, 2), True), ((1, 2, 3), False)])
def test_a_model_that_pruning_would_delete_is_not_written(
    tmp_path: Path, complete: tuple[int, ...], *, is_written: bool
) -> None:
    text = ONE_AT_A_TIME.replace("joint: {epochs: 9", "joint: {epochs: 2")
    text = text.replace("min_epochs: 8", "min_epochs: 1")
    study = parse(Study, read_yaml_text(text, "tiny.yaml"))
    assert study.search.num_kept == 3
    (tmp_path / STUDY_FILE).touch()
    complete_models(tmp_path, complete)
    search = SearchContext(study, study.data.load(), str(tmp_path), is_sharing=False)
    trial = SearchTrial(search, PROPOSAL, torch.device("cpu"))
    model = tmp_path / "models/shufflenet_v2_x0_5-0000/model.yaml"
    trial.next_epoch()
    assert model.exists() == is_written
    assert trial.next_epoch()["done"]
    trial.close()
    # A complete trial may be the best.
    assert model.exists()


def control(root: Path, arm: str, number: int = -1) -> SearchTrial:
    """Return a control of three epochs whose study is at a folder."""
    text = ONE_AT_A_TIME.replace("joint: {epochs: 9", "joint: {epochs: 3")
    text = text.replace("min_epochs: 8", "min_epochs: 3")
    study = parse(Study, read_yaml_text(text, "tiny.yaml"))
    (root / STUDY_FILE).touch()
    search = SearchContext(study, study.data.load(), str(root), is_sharing=False)
    proposal = {"backbone": "shufflenet_v2_x0_5", "number": number, "params": {}}
    extra = {**EQUAL_STEPS, "arm": arm, "trial": None}
    return SearchTrial(search, {**proposal, "extra": extra}, torch.device("cpu"))


def told(trial: SearchTrial) -> list[dict[str, Any]]:
    """Return what a trial reports until it is done."""
    results = [trial.next_epoch()]
    while not results[-1]["done"]:
        results.append(trial.next_epoch())
    trial.close()
    return results


def numbers(results: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in one["metrics"].items() if "seconds" not in name}
        for one in results
    ]


def test_a_control_runs_without_a_gan_to_its_end_and_leaves_no_model(tmp_path: Path) -> None:
    results = told(control(tmp_path, "equal_steps"))
    assert [result["epoch"] for result in results] == [1, 2, 3]
    assert not any(name.startswith("seconds/warmup") for name in results[0]["metrics"])
    assert 0 < results[0]["metrics"][STAGE_ONE_OBJECTIVE] <= 1
    assert STAGE_ONE_OBJECTIVE not in results[1]["metrics"]
    assert not (tmp_path / "models").exists()
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["control-x"]


def test_a_control_goes_on_from_its_checkpoint_whatever_its_number(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = told(control(tmp_path / "whole", "equal_steps"))
    first = control(tmp_path, "equal_steps")
    begun = first.next_epoch()
    folder = tmp_path / "ray/session-0000/control-x/checkpoint_000000"
    folder.mkdir(parents=True)
    first.write(folder)
    first.close()
    rest = told(control(tmp_path, "equal_steps", number=-3))
    assert [result["epoch"] for result in rest] == [2, 3]
    assert numbers([begun, *rest]) == numbers(whole)


def test_a_control_of_stage_1_alone_reports_once(tmp_path: Path) -> None:
    (result,) = told(control(tmp_path, "baseline"))
    assert (result["epoch"], result["training_iteration"]) == (1, 1)
    assert result[OBJECTIVE] == result["metrics"][STAGE_ONE_OBJECTIVE]
