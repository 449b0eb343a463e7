"""Searches that were interrupted, killed or out of time, and what goes on from there."""

import csv
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from typer.testing import CliRunner

from distill_tune.cli import app

from .commands import (
    STUDY,
    Event,
    Run,
    epochs_reported,
    of_kind,
    read_events,
    run,
    scalars,
    unfinished,
)

pytestmark = pytest.mark.slow

ONE_AT_A_TIME = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("num_trials: 6", "num_trials: 4, num_startup_trials: 2")
    .replace("joint: {epochs: 4", "joint: {epochs: 6")
) + "resources: {cpus: 1, gpus: 0, max_concurrent: 1}\n"


def write(folder: Path, text: str) -> list[str]:
    """Write a space; return the command that searches it."""
    space = folder / "tiny.yaml"
    space.write_text(text, encoding="utf-8")
    return ["search", "--space", str(space), "--storage", str(folder / "runs")]


def is_mid_way(study: Path, min_ended: int = 1) -> bool:
    """Whether so many trials are over and another has epochs behind it, though not all."""
    events = read_events(study)
    begun = {trial for trial, epoch in epochs_reported(events) if epoch >= 2}
    ended = len(of_kind(events, "trial_ended"))
    return ended >= min_ended and bool(begun & unfinished(events))


def rows(study: Path, name: str) -> list[dict[str, str]]:
    """Return a table without what depends on the clock."""
    with (study / name).open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    return [{key: row[key] for key in row if not key.startswith("seconds/")} for row in table]


def assert_nothing_is_doubled(study: Path) -> None:
    """Check the tables and every TensorBoard run."""
    pairs = [(row["number"], row["epoch"]) for row in rows(study, "epochs.csv")]
    assert len(pairs) == len(set(pairs))
    boards = list((study / "tensorboard").iterdir())
    assert len(boards) == len(rows(study, "trials.csv"))
    for board in boards:
        assert {key: len(values) for key, values in scalars(board).items() if len(values) > 1} == {}


class Broken(NamedTuple):
    """A study that ran in four sessions: out of time, interrupted, to its end, extended.

    Attributes:
        study: Its directory.
        runs: The sessions by what they were.
        logs: The log as it stood after each.
        second: What a search was told that came during the second session.
        finished: What a search was told that came after the third.
    """

    study: Path
    runs: dict[str, Run]
    logs: dict[str, list[Event]]
    second: Result
    finished: Result


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    root = tmp_path_factory.mktemp("broken")
    command, study = write(root, STUDY), root / "runs/tiny"
    runs, logs = {}, {}

    def note(name: str, done: Run) -> None:
        runs[name], logs[name] = done, read_events(study)

    note("out of time", run(*command, "--time-budget", "0.2"))
    interrupted = Run(*command, "--resume")
    interrupted.wait_until(lambda: len(of_kind(read_events(study), "session_started")) == 2)
    second = CliRunner().invoke(app, ["resume", str(study)])
    interrupted.wait_until(lambda: is_mid_way(study))
    interrupted.send(signal.SIGINT)
    interrupted.wait()
    note("interrupted", interrupted)
    note("resumed", run("resume", str(study)))
    finished = CliRunner().invoke(app, ["resume", str(study)])
    logs["finished"] = read_events(study)
    note("extended", run("resume", str(study), "--num-trials", "8"))
    return Broken(study, runs, logs, second, finished)


def test_a_search_out_of_time_says_so_and_how_to_go_on(broken: Broken) -> None:
    lines = broken.runs["out of time"].stdout.splitlines()
    assert lines[-2:] == [
        "time budget after 0 of 6 trials; go on with:",
        f"  distill-tune resume {broken.study}",
    ]
    assert broken.logs["out of time"][-1]["status"] == "time_budget"


def test_an_interrupted_search_exits_with_130_and_names_the_command_that_resumes(
    broken: Broken,
) -> None:
    done = broken.runs["interrupted"]
    assert done.process.returncode == 130
    ended = len(of_kind(broken.logs["interrupted"], "trial_ended"))
    assert done.stdout.splitlines()[-2:] == [
        f"interrupted after {ended} of 6 trials; go on with:",
        f"  distill-tune resume {broken.study}",
    ]
    assert "Traceback" not in done.output
    done.wait_for_silence()


def test_a_second_search_is_refused_while_the_first_lives(broken: Broken) -> None:
    assert broken.second.exit_code == 2
    assert broken.second.stderr == f"study {broken.study} is in use by another search\n"
    assert len(of_kind(broken.logs["interrupted"], "session_started")) == 2


def test_the_trials_of_all_sessions_add_up(broken: Broken) -> None:
    events = broken.logs["resumed"]
    ended = [event["trial"] for event in of_kind(events, "trial_ended")]
    assert sorted(ended) == list(range(6))
    assert unfinished(events) == set()
    assert events[-1]["status"] == "finished"


def test_finished_trials_are_not_started_again(broken: Broken) -> None:
    before = broken.logs["interrupted"]
    after = broken.logs["resumed"]
    assert after[: len(before)] == before
    over = {event["trial"] for event in of_kind(before, "trial_ended")}
    assert over
    assert not over & {event.get("trial") for event in after[len(before) :]}


def test_running_trials_go_on_from_their_last_checkpoint(broken: Broken) -> None:
    before = broken.logs["interrupted"]
    reported = epochs_reported(before)
    again = epochs_reported(broken.logs["resumed"])[len(reported) :]
    for trial in unfinished(before):
        last = max((epoch for number, epoch in reported if number == trial), default=0)
        first = min(epoch for number, epoch in again if number == trial)
        # The last epoch is told once more if its checkpoint was not written to the end.
        assert first in {max(1, last), last + 1}
    assert len(set(again)) == len(again)


def test_the_shared_stages_are_found_ready(broken: Broken) -> None:
    before = {stage["key"] for stage in of_kind(broken.logs["interrupted"], "stage")}
    later = of_kind(broken.logs["resumed"][len(broken.logs["interrupted"]) :], "stage")
    assert {stage["key"] for stage in later} == before
    assert all(stage["cached"] for stage in later)


def test_a_finished_study_is_left_as_it_is(broken: Broken) -> None:
    new = broken.logs["finished"][len(broken.logs["resumed"]) :]
    assert [event["event"] for event in new] == ["session_started", "session_ended"]
    assert broken.finished.exit_code == 0
    assert broken.finished.stdout.endswith("\nThe study is finished: 6 of 6 trials.\n")
    assert "Ray" not in broken.finished.output, "there is nothing to start it for"


def test_a_finished_study_can_be_given_more_trials(broken: Broken) -> None:
    new = broken.logs["extended"][len(broken.logs["finished"]) :]
    assert [event["trial"] for event in of_kind(new, "trial_ended")] in ([6, 7], [7, 6])
    assert {event["trial"] for event in of_kind(new, "trial_started")} == {6, 7}
    assert len(rows(broken.study, "trials.csv")) == 8
    assert broken.runs["extended"].stdout.splitlines()[-1] == (
        "The study is finished: 8 of 8 trials."
    )


def test_no_row_and_no_step_is_doubled_in_the_end(broken: Broken) -> None:
    assert_nothing_is_doubled(broken.study)
    assert list(broken.study.rglob("checkpoint_*")) == []


class Killed(NamedTuple):
    """A study left alone, and the same one killed twice, with a damaged checkpoint.

    Attributes:
        whole: The directory of the one left alone.
        killed: That of the other.
        log: The other's as it stood after the second kill.
        damaged: Trial whose newest checkpoint was cut off.
        last: The session that brought it to its end.
    """

    whole: Path
    killed: Path
    log: list[Event]
    damaged: str
    last: Run


def cut_newest_checkpoint(study: Path) -> str:
    """Cut the newest checkpoint of the trial that runs; return the trial's name."""
    newest = max(study.glob("ray/session-*/*/checkpoint_*"), key=lambda path: path.parts)
    content = newest / "trial.pt"
    content.write_bytes(content.read_bytes()[:-9999] if content.exists() else b"")
    return newest.parent.name


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    root = tmp_path_factory.mktemp("whole")
    run(*write(root, ONE_AT_A_TIME))
    whole = root / "runs/tiny"

    root = tmp_path_factory.mktemp("killed")
    study = root / "runs/tiny"
    first = Run(*write(root, ONE_AT_A_TIME))
    first.wait_until(lambda: bool(of_kind(read_events(study), "data")))
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = Run("resume", str(study))
    second.wait_until(lambda: is_mid_way(study) and has_two_checkpoints(study))
    second.send(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    for dead in (first, second):
        dead.wait_for_silence()
    log = read_events(study)
    damaged = cut_newest_checkpoint(study)
    return Killed(whole, study, log, damaged, run("resume", str(study)))


def has_two_checkpoints(study: Path) -> bool:
    """Whether the trial that runs has two whole checkpoints, and an epoch left to do."""
    events = read_events(study)
    running = unfinished(events)
    epochs = [epoch for trial, epoch in epochs_reported(events) if trial in running]
    names = [f"shufflenet_v2_x0_5-{trial:04d}" for trial in running]
    seals = [path for name in names for path in study.glob(f"ray/*/{name}/*/trial.json")]
    return len(seals) >= 2 and max(epochs, default=0) in {3, 4}


def test_a_kill_leaves_no_lock_and_no_end(killed: Killed) -> None:
    kinds = [event["event"] for event in killed.log]
    assert kinds.count("session_started") == 2
    assert "session_ended" not in kinds
    assert killed.last.process.returncode == 0


def test_a_damaged_checkpoint_is_passed_over_and_named(killed: Killed) -> None:
    (warning,) = of_kind(read_events(killed.killed), "warning")
    assert warning["text"].startswith(f"{killed.damaged}: damaged checkpoint passed over: ")
    assert f"warning: {warning['text']}" in killed.last.stdout.splitlines()


def test_the_trial_of_the_damaged_checkpoint_goes_on_from_the_one_before(killed: Killed) -> None:
    number = int(killed.damaged.rpartition("-")[2])
    last = max(epoch for trial, epoch in epochs_reported(killed.log) if trial == number)
    again = epochs_reported(read_events(killed.killed)[len(killed.log) :])
    first = min(epoch for trial, epoch in again if trial == number)
    assert 1 < first <= last


def test_a_study_killed_twice_ends_as_one_left_alone(killed: Killed) -> None:
    for name in ("trials.csv", "epochs.csv"):
        assert rows(killed.killed, name) == rows(killed.whole, name)
    winners: list[Any] = []
    for study in (killed.whole, killed.killed):
        (best,) = (study / "best").iterdir()
        winners.append(best.read_text())
    assert winners[0] == winners[1]


def test_its_curves_are_those_of_the_other_and_nothing_is_doubled(killed: Killed) -> None:
    assert_nothing_is_doubled(killed.killed)
    for board in (killed.whole / "tensorboard").iterdir():
        assert scalars(killed.killed / "tensorboard" / board.name) == scalars(board)


def test_an_interrupt_before_anything_began_leaves_nothing(tmp_path: Path) -> None:
    early = Run(*write(tmp_path, STUDY))
    early.wait_until(lambda: is_importing(early))
    early.send(signal.SIGINT)
    # Python itself dies of the signal where the interrupt met an import.
    assert early.wait() in {130, -signal.SIGINT}
    assert early.stderr.strip() in {"interrupted", "interrupted before anything was written"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def is_importing(started: Run) -> bool:
    """Whether the command has come so far that it holds torch's libraries."""
    maps = Path(f"/proc/{started.process.pid}/maps")
    return maps.exists() and "libtorch" in maps.read_text()
