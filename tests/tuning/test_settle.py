"""The trials that a kill caught between their last report and their end, at the next session."""

from pathlib import Path

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import settle
from tests.commands import ONE_AT_A_TIME

NAME = "shufflenet_v2_x0_5"
LAST = 9


@pytest.fixture
def study() -> Study:
    """Return a study with one rung, after epoch 3 of nine."""
    return parse(Study, read_yaml_text(ONE_AT_A_TIME.replace("min_epochs: 8", "min_epochs: 3"), ""))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(StudyDirectory(str(tmp_path / "study")), lambda *_: None)


def report(journal: Journal, number: int, epochs: int, objective: float) -> None:
    """Log a trial that has reported some epochs and has no end."""
    name = f"{NAME}-{number:04d}"
    journal.emit("trial_started", trial=number, name=name, backbone=NAME, params={}, raw={})
    for epoch in range(1, epochs + 1):
        journal.emit("epoch", trial=number, epoch=epoch, metrics={OBJECTIVE: objective})


def ends(journal: Journal) -> dict[int, tuple[str, str]]:
    """Return status and reason of the trials that are over."""
    trials = journal.state.trials.values()
    return {one.number: (one.status, one.reason) for one in trials if one.ended_at is not None}


def test_a_trial_that_has_reported_its_last_epoch_is_complete(
    study: Study, journal: Journal
) -> None:
    report(journal, 0, LAST, 0.5)
    settle(study, journal)
    assert ends(journal) == {0: ("complete", "")}


def test_a_trial_that_did_not_pass_its_rung_is_pruned(study: Study, journal: Journal) -> None:
    report(journal, 0, LAST, 0.9)
    report(journal, 1, 3, 0.1)
    settle(study, journal)
    assert ends(journal) == {0: ("complete", ""), 1: ("pruned", "rung 3")}


@pytest.mark.parametrize("epochs", [0, 1, LAST - 1])
def test_a_trial_with_work_left_stays_as_it_is(study: Study, journal: Journal, epochs: int) -> None:
    report(journal, 0, epochs, 0.5)
    settle(study, journal)
    assert ends(journal) == {}
