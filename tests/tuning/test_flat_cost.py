"""What the driver does for a trial does not depend on how many trials there were before."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.event_log import LOG_FILE
from distill_tune.records.replay import Fold
from distill_tune.records.trials import Event
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.tuning.callbacks.trial_events import StudyCallback
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.tuning.test_trial_events import ROW, TEXT, RawValues, ray_trial

NUM_EPOCHS = 3
EVENTS_PER_TRIAL = NUM_EPOCHS + 2


class Search:
    """A search without Ray: every trial runs to its end, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.directory = folder, StudyDirectory(str(folder / "study"))
        self.journal = Journal(self.directory, lambda *_: None)
        study = parse(Study, read_yaml_text(TEXT, "tiny.yaml"))
        sampler = cast("SamplerPerBackbone", RawValues())
        self.callback = StudyCallback(self.journal, sampler, study, Counter())

    def run(self, numbers: range) -> None:
        for number in numbers:
            trial = ray_trial(self.folder)
            trial.config["number"] = number
            self.callback.on_trial_start(**ROW, trial=trial)
            for epoch in range(1, NUM_EPOCHS + 1):
                result = {"epoch": epoch, "objective": 0.5, "metrics": {"val/accuracy": 0.5}}
                self.callback.on_trial_result(**ROW, trial=trial, result=result)
                trial.last_result.clear()
                trial.last_result.update(result)
            self.callback.on_trial_complete(**ROW, trial=trial)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the callback's clock, to be set."""
    moment = [0.0]
    clock = SimpleNamespace(monotonic=lambda: moment[0])
    monkeypatch.setattr("distill_tune.tuning.callbacks.trial_events.time", clock)
    return moment


def test_an_event_is_added_once_and_the_log_is_not_read_again(
    search: Search, files_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files_read.clear()
    added: list[Event] = []
    add = Fold.add

    def counting(self: Fold, event: Event) -> bool:
        added.append(event)
        return add(self, event)

    monkeypatch.setattr(Fold, "add", counting)
    search.run(range(40))
    assert len(added) == 40 * EVENTS_PER_TRIAL
    assert files_read == []
    lines = (search.folder / "study" / LOG_FILE).read_bytes().splitlines()
    assert len(lines) == 40 * EVENTS_PER_TRIAL


def test_a_resumed_search_is_rebuilt_from_one_reading_of_the_log(
    search: Search, files_read: list[str]
) -> None:
    search.run(range(4))
    files_read.clear()
    again = Journal(search.directory, lambda *_: None)
    past, reports = again.past_trials(), again.rung_events()
    assert files_read == [LOG_FILE]
    assert repr(again.state) == repr(search.journal.state)
    assert past == search.journal.past_trials()
    assert reports == search.journal.rung_events()
    assert [(event.number, event.epoch) for event in reports] == [
        (number, epoch) for number in range(4) for epoch in range(1, NUM_EPOCHS + 1)
    ]


def test_tables_are_written_once_in_a_while_and_the_rarer_the_longer_it_takes(
    now: list[float], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []

    def slow(*_: Any) -> None:
        written.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr(StudyDirectory, "write_tables", slow)
    for second in range(0, 130, 2):
        now[0] = max(now[0], float(second))
        search.run(range(second, second + 1))
    assert written == [10.0, 62.0, 114.0]


def test_tables_written_on_the_way_are_those_of_the_log(now: list[float], search: Search) -> None:
    search.run(range(3))
    assert not search.directory.has("trials.csv")
    now[0] = 10.0
    search.run(range(3, 4))
    on_the_way = search.directory.read_text("epochs.csv")
    search.directory.write_tables()
    assert search.directory.read_text("epochs.csv").startswith(on_the_way)
    assert len(on_the_way.splitlines()) == 1 + 3 * NUM_EPOCHS + 1


def test_ray_keeps_no_numbers_of_ours(search: Search) -> None:
    trial = ray_trial(search.folder)
    search.callback.on_trial_start(**ROW, trial=trial)
    result = {"epoch": 1, "objective": 0.5, "metrics": {"val/accuracy": 0.25}}
    search.callback.on_trial_result(**ROW, trial=trial, result=result)
    assert result == {"epoch": 1, "objective": 0.5}
    history = search.journal.state.trials[0].history
    assert history == {1: {"objective": 0.5, "val/accuracy": 0.25}}
