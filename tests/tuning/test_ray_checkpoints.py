"""What we rely on in Ray's checkpoints, one promise a test; docstrings say what breaks else."""

from pathlib import Path

import pytest

from tests.tuning.recorded import Record, folder_name, search
from tests.tuning.scripted import Script

pytestmark = pytest.mark.usefixtures("our_ray")

ASKS, DIES, PAUSED, DONE = range(4)
SCRIPTS = [
    Script("asks", 4),
    Script("asks, dies once", 3),
    Script("is paused", 3),
    Script("done", 2),
]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return four trials, one after the other, of which two ask for checkpoints."""
    return search(tmp_path_factory.mktemp("saved"), SCRIPTS, max_failures=1)


def calls(record: Record, number: int) -> list[tuple[str, int]]:
    return [(row["call"], row["epoch"]) for row in record.of_worker(number)]


def test_a_result_asks_for_a_checkpoint_before_the_next_step(record: Record) -> None:
    """Else what is saved is another epoch than the one that was reported."""
    expected = [(call, epoch) for epoch in range(1, 5) for call in ("step", "save")]
    assert [row for row in calls(record, ASKS) if row[0] != "setup"] == expected


def test_the_driver_has_heard_of_an_epoch_before_it_is_saved(record: Record) -> None:
    """Else a kill leaves a checkpoint of an epoch that the log does not have: a lost row."""
    saved = [row for row in record.of_worker() if row["call"] == "save"]
    assert len(saved) >= 7
    assert all(row["is_told"] for row in saved)
    order = record.order(ASKS)
    assert order[order.index("callback save") - 1] == "callback result"


def test_it_lies_below_the_trials_name_and_two_are_kept(record: Record) -> None:
    """Else a later session does not find it, or the disk fills up."""
    folder = record.folder / "session-0001"
    for number in (ASKS, DIES):
        trial = folder / f"scripted-{number:04d}"
        names = sorted(path.name for path in trial.glob("checkpoint_*"))
        count = SCRIPTS[number].epochs
        assert names == [f"checkpoint_{index:06d}" for index in (count - 2, count - 1)]
        newest = (trial / names[-1] / "epoch").read_text()
        assert newest == str(count)


def test_a_lost_worker_is_replaced_by_one_that_loads_the_newest(record: Record) -> None:
    """Else its trial begins anew, though it was saved."""
    rows = calls(record, DIES)
    died = rows.index(("step", 3))
    assert rows[died + 1 :] == [("setup", 0), ("load", 2), ("step", 3), ("save", 3)]


def test_a_paused_trial_is_saved_and_goes_on_from_there(record: Record) -> None:
    """Else an interrupt loses the epochs in work."""
    rows = calls(record, PAUSED)
    saved = rows.index(("save", 1))
    assert rows[saved - 1] == ("step", 1)
    begun, *rest = rows[saved + 1 :]
    assert begun[0] in {"setup", "reset_config"}
    assert rest == [("load", 1), ("step", 2), ("step", 3)]


def test_no_checkpoint_is_a_pickle(record: Record) -> None:
    """Else whoever gives us a study runs code here."""
    folders: list[Path] = list(record.folder.glob("session-0001/*/checkpoint_*"))
    assert folders
    assert {path.name for folder in folders for path in folder.iterdir()} == {"epoch"}


def test_the_names_are_ours(record: Record) -> None:
    """Else checkpoints are not found by the name of their trial."""
    trials = [call.facts["trial"] for call in record.calls if call.name == "start"]
    assert {folder_name(trial) for trial in trials} >= {"scripted-0000", "scripted-0003"}
    assert (record.folder / "session-0001/scripted-0000").is_dir()
