"""The trial of a search alone: what it reports as its objective."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from distill_tune.distill.trial import Report
from distill_tune.records.directory import STUDY_FILE
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.search_trial import SearchContext, SearchTrial
from tests.commands import ONE_AT_A_TIME

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
