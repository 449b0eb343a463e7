"""What the data give cause to warn of reaches the log, the terminal and the last words."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.outcome_view import outcome_view
from distill_tune.terminal.views import ConsoleViews
from distill_tune.tuning.outcome import outcome_json
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.session import Session
from tests.refusals import GOOD

WARNING = "1 test file is in train too, such as test/[red]/a.png (same as train/[/x]/b.png)"


@pytest.fixture
def study() -> Study:
    return parse(Study, read_yaml_text(GOOD, "bad.yaml"))


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    return StudyDirectory(str(tmp_path / "bad"))


def console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=400), file


def opened(study: Study, directory: StudyDirectory, images: ImageData) -> str:
    """Open the study's log as a search does; return what it prints."""
    terminal, file = console()
    views = ConsoleViews(terminal)
    options = RunOptions(command="search", views=views)
    Session(study, directory, images, views.search(study), options)._open()
    return file.getvalue()


def test_a_warning_of_the_data_is_told_and_kept_once(
    study: Study, directory: StudyDirectory, digits: ImageData
) -> None:
    warned = replace(digits, warnings=(WARNING,))
    assert f"warning: {WARNING}\n" in opened(study, directory, warned)
    assert opened(study, directory, warned) == ""
    assert directory.state().warnings == (WARNING,)


def test_a_warning_stands_in_the_last_words(
    study: Study, directory: StudyDirectory, digits: ImageData
) -> None:
    opened(study, directory, replace(digits, warnings=(WARNING,)))
    terminal, file = console()
    for part in outcome_view(study, directory, "interrupted"):
        terminal.print(part)
    assert f"  warning: {WARNING}\n" in file.getvalue()
    assert outcome_json(study, directory, "interrupted")["warnings"] == [WARNING]


def test_without_cause_nothing_is_warned_of(
    study: Study, directory: StudyDirectory, digits: ImageData
) -> None:
    assert opened(study, directory, digits) == ""
    assert "warning" not in "".join(map(str, outcome_view(study, directory, "interrupted")))
    assert outcome_json(study, directory, "interrupted")["warnings"] == []
