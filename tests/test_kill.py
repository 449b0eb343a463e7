"""Searches and workers that were killed, a damaged checkpoint, and what goes on from there."""

import json
import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from distill_tune.cli import app
from tests.beside import meanwhile, trial_workers, until
from tests.commands import (
    ONE_AT_A_TIME,
    Event,
    Run,
    assert_nothing_is_doubled,
    epochs_reported,
    inside,
    is_mid_way,
    of_kind,
    read_events,
    rows,
    scalars,
    unfinished,
    warnings_in,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]

TEXT = ONE_AT_A_TIME.replace("{epochs: 9", "{epochs: 6").replace("min_epochs: 8", "min_epochs: 5")


class Killed(NamedTuple):
    """A study left alone, and the same one killed twice, then damaged, then with a killed worker.

    Damaged are the newest checkpoint and all that Ray itself wrote of the experiment's state.

    Attributes:
        whole: The directory of the one left alone.
        killed: That of the other.
        log: The other's as it stood after the second kill.
        damaged: Trial whose newest checkpoint was cut off.
        said: The lines of the session that brought it to its end.
        dead: The sessions that were killed.
    """

    whole: Path
    killed: Path
    log: list[Event]
    damaged: str
    said: list[str]
    dead: tuple[Run, ...]


def cut_newest_checkpoint(study: Path) -> str:
    """Cut the newest checkpoint of the trial that runs; return the trial's name."""
    newest = max(study.glob("checkpoints/*/checkpoint_*"), key=lambda path: path.parts)
    content = newest / "trial.pt"
    content.write_bytes(content.read_bytes()[:-9999] if content.exists() else b"")
    return newest.parent.name


def empty_rays_own_state(study: Path) -> int:
    """Empty every file that Ray keeps of its experiments, trials' apart; return how many."""
    files = [path for path in study.glob("ray/session-*/*") if path.is_file()]
    for path in files:
        path.write_bytes(b"")
    return len(files)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    root = tmp_path_factory.mktemp("whole")
    inside(*write_space(root, TEXT))
    whole = root / "runs/tiny"

    root = tmp_path_factory.mktemp("killed")
    study = root / "runs/tiny"
    first = Run(*write_space(root, TEXT))
    first.wait_until(lambda: bool(of_kind(read_events(study), "data")))
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = Run("resume", str(study))
    second.wait_until(lambda: is_mid_way(study) and has_two_checkpoints(study))
    second.send(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    # Its workers are gone in a second, Ray's agents in a minute.
    second.wait_for_silence(but_for="Agent")
    log = read_events(study)
    damaged = cut_newest_checkpoint(study)
    assert empty_rays_own_state(study) > 0

    def kill_worker() -> None:
        until(lambda: bool(of_kind(read_events(study)[len(log) :], "epoch")))
        (worker,) = trial_workers(os.getpid())
        os.kill(worker, signal.SIGKILL)

    with meanwhile(kill_worker):
        last = inside("resume", str(study))
    return Killed(whole, study, log, damaged, last.stdout.splitlines(), (first, second))


def has_two_checkpoints(study: Path) -> bool:
    """Whether the trial that runs has two whole checkpoints, and an epoch left to do."""
    events = read_events(study)
    running = unfinished(events)
    epochs = [epoch for trial, epoch in epochs_reported(events) if trial in running]
    names = [f"shufflenet_v2_x0_5-{trial:04d}" for trial in running]
    seals = [path for name in names for path in study.glob(f"checkpoints/{name}/*/trial.json")]
    return len(seals) >= 2 and max(epochs, default=0) in {3, 4}


def test_a_kill_leaves_no_lock_and_no_end(killed: Killed) -> None:
    kinds = [event["event"] for event in killed.log]
    assert kinds.count("session_started") == 2
    assert "session_ended" not in kinds


def test_a_damaged_checkpoint_and_a_killed_worker_are_told(killed: Killed) -> None:
    damage, death, *torn = warnings_in(read_events(killed.killed))
    # The worker may have died as it wrote a checkpoint.
    assert all(text.startswith(f"{killed.damaged}: damaged checkpoint") for text in torn)
    assert damage.startswith(f"{killed.damaged}: damaged checkpoint passed over: ")
    assert death.startswith(f"{killed.damaged} continues from its last checkpoint: ")
    assert f"warning: {damage}" in killed.said
    assert f"warning: {death}" in killed.said


def test_the_trial_of_the_damaged_checkpoint_goes_on_from_the_one_before(killed: Killed) -> None:
    number = int(killed.damaged.rpartition("-")[2])
    last = max(epoch for trial, epoch in epochs_reported(killed.log) if trial == number)
    again = epochs_reported(read_events(killed.killed)[len(killed.log) :])
    first = min(epoch for trial, epoch in again if trial == number)
    assert 1 < first <= last


def test_after_all_that_the_study_is_as_one_left_alone(killed: Killed) -> None:
    for name in ("trials.csv", "epochs.csv"):
        assert rows(killed.killed, name) == rows(killed.whole, name)
    best = "best/shufflenet_v2_x0_5.yaml"
    assert (killed.killed / best).read_text() == (killed.whole / best).read_text()


def test_its_curves_are_those_of_the_other_and_nothing_is_doubled(killed: Killed) -> None:
    assert_nothing_is_doubled(killed.killed)
    for board in (killed.whole / "tensorboard").iterdir():
        assert scalars(killed.killed / "tensorboard" / board.name) == scalars(board)


def test_a_search_in_which_no_trial_succeeds_exits_with_3_and_says_why(tmp_path: Path) -> None:
    command = write_space(tmp_path, TEXT)
    command += ["--num-trials", "1", "--set", "trial.classifier.lr=1e30", "--json"]
    hopeless = CliRunner().invoke(app, command)
    assert hopeless.exit_code == 3, hopeless.output
    said = json.loads(hopeless.stdout)
    assert said["best"] == {"shufflenet_v2_x0_5": None}
    assert all(Path(path).exists() for path in said["paths"].values())
    reason = "diverged: the classifier's loss in epoch 1 is nan"
    lines = hopeless.stderr.splitlines()
    assert lines[-2:] == ["no trial succeeded:", f"  {reason}"]
    assert (
        "warning: shared stage classifier/shufflenet_v2_x0_5 failed, and is left to the trials: "
        f"{reason}"
    ) in lines
    (row,) = rows(tmp_path / "runs/tiny", "trials.csv")
    assert (row["state"], row["reason"], row["value"]) == ("failed", "diverged", "")
    assert "Traceback" not in hopeless.output


def test_what_a_killed_search_had_started_dies_too(killed: Killed) -> None:
    for dead in killed.dead:
        dead.wait_for_silence()
