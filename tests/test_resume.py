"""Searches that were interrupted or out of time, and what goes on from there.

Ctrl-C or SIGTERM once: the epoch is finished and kept; twice: everything stops at once.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from typer.testing import CliRunner, Result

from distill_tune.cli import app
from distill_tune.training.checkpoints.content import read_checkpoint
from tests.commands import (
    STUDY,
    Event,
    Run,
    assert_nothing_is_doubled,
    checkpoints,
    epochs_reported,
    inside,
    is_mid_way,
    is_whole,
    of_kind,
    read_events,
    rows,
    unfinished,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]


NOTICE = "finishing the epoch; Ctrl-C again to stop at once"

LONG_EPOCHS = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("train_per_class: 6", "train_per_class: 12")
    .replace("checkpoint_share: 1", "checkpoint_share: 1e-6, min_epochs: 8")
    .replace("joint: {epochs: 4", "joint: {epochs: 8")
    .replace("num_trials: 6", "num_trials: 3")
)
"""Epochs of about a second, and no checkpoint but that of an interrupt."""


class Broken(NamedTuple):
    """A study that ran in sessions: out of time, terminated, interrupted, to its end, extended.

    Attributes:
        study: Its directory.
        once: The second session, terminated once.
        twice: The third, interrupted twice.
        said: What the others printed.
        logs: The log as it stood after each.
        kept: The trials and epochs whose checkpoints were there, whole, after each.
        second: What a search was told that came during the second session.
        finished: What a search was told that came to the finished study.
    """

    study: Path
    once: Run
    twice: Run
    said: dict[str, str]
    logs: dict[str, list[Event]]
    kept: dict[str, set[tuple[int, int]]]
    second: Result
    finished: Result


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    root = tmp_path_factory.mktemp("broken")
    command, study = write_space(root, LONG_EPOCHS), root / "runs/tiny"
    said: dict[str, str] = {}
    logs: dict[str, list[Event]] = {}
    kept: dict[str, set[tuple[int, int]]] = {}

    def note(name: str, done: Run | Result) -> None:
        said[name], logs[name] = done.stdout, read_events(study)
        whole = filter(is_whole, checkpoints(study))
        kept[name] = {(int(path.parent.name[-4:]), saved_epoch(path)) for path in whole}

    note("out of time", inside(*command, "--time-budget", "0.2"))
    once = Run(*command, "--resume")
    once.wait_until(lambda: len(of_kind(read_events(study), "session_started")) == 2)
    second = CliRunner().invoke(app, ["resume", str(study)])
    # Early in a trial, which must not end before the signal comes; two may end at the same time.
    once.wait_until(lambda: is_mid_way(study, least=1, most=4))
    terminate_all(once)
    once.wait()
    note("once", once)
    twice = interrupted_twice(study)
    note("twice", twice)
    note("resumed", inside("resume", str(study)))
    finished = inside("resume", str(study))
    note("finished", finished)
    note("extended", inside("resume", str(study), "--num-trials", "4"))
    return Broken(study, once, twice, said, logs, kept, second, finished)


def saved_epoch(checkpoint: Path) -> int:
    """Return the epoch after which a checkpoint was made."""
    content = read_checkpoint(checkpoint, torch.device("cpu"))
    return int(content["trial"]["joint_epoch"])


def interrupted_twice(study: Path) -> Run:
    """Resume a study, and interrupt it again while it finishes an epoch."""
    twice = Run("resume", str(study))
    before = len(read_events(study))
    twice.wait_until(lambda: bool(epochs_reported(read_events(study)[before:])))
    press_ctrl_c(twice)
    assert twice.process.stdout is not None
    while NOTICE not in twice.process.stdout.readline():
        assert twice.process.poll() is None
    press_ctrl_c(twice)
    twice.wait()
    return twice


def press_ctrl_c(running: Run) -> None:
    """Interrupt as a terminal does: the command and all that it started in the foreground."""
    os.killpg(running.process.pid, signal.SIGINT)


def terminate_all(running: Run) -> None:
    """Terminate as ``timeout`` or a scheduler does: the command and every process of its session.

    Ray gives its workers process groups of their own.
    """
    for number in running.survivors():
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)


def test_a_search_out_of_time_says_so_and_how_to_go_on(broken: Broken) -> None:
    lines = broken.said["out of time"].splitlines()
    assert lines[-2:] == [
        "time budget after 0 of 3 trials; go on with:",
        f"  distill-tune resume {broken.study}",
    ]
    assert broken.logs["out of time"][-1]["status"] == "time_budget"


def test_an_interrupted_search_exits_with_130_and_names_the_command_that_resumes(
    broken: Broken,
) -> None:
    done = broken.once
    assert done.process.returncode == 130
    assert NOTICE in done.stdout.splitlines()
    ended = len(of_kind(broken.logs["once"], "trial_ended"))
    assert done.stdout.splitlines()[-2:] == [
        f"interrupted after {ended} of 3 trials; go on with:",
        f"  distill-tune resume {broken.study}",
    ]
    assert "Traceback" not in done.output
    done.wait_for_silence()


def test_after_once_no_epoch_is_computed_twice(broken: Broken) -> None:
    before = broken.logs["once"]
    reported = epochs_reported(before)
    again = epochs_reported(broken.logs["twice"][len(before) :])
    assert again
    assert not set(reported) & set(again)
    # The epoch that was in work at the interrupt is reported, and then saved by Ray.
    last = {(trial, last_epoch(reported, trial)) for trial in unfinished(before)}
    assert broken.kept["once"] == {(trial, epoch) for trial, epoch in last if epoch}
    assert broken.kept["once"]


def last_epoch(reported: list[tuple[int, int]], trial: int) -> int:
    return max((epoch for number, epoch in reported if number == trial), default=0)


def test_twice_waits_for_nothing(broken: Broken) -> None:
    assert broken.twice.process.returncode == 130
    # An epoch, or a trial, may end between the two; what was kept before is not lost.
    running = unfinished(broken.logs["twice"])
    assert running
    kept = {(trial, epoch) for trial, epoch in broken.kept["once"] if trial in running}
    assert kept <= broken.kept["twice"]
    assert broken.logs["twice"][-1]["status"] == "interrupted"
    assert "Traceback" not in broken.twice.output
    broken.twice.wait_for_silence(but_for="Agent")


def test_a_second_search_is_refused_while_the_first_lives(broken: Broken) -> None:
    assert broken.second.exit_code == 2
    assert broken.second.stderr == f"study {broken.study} is in use by another search\n"
    assert len(of_kind(broken.logs["once"], "session_started")) == 2


def test_the_trials_of_all_sessions_add_up(broken: Broken) -> None:
    events = broken.logs["resumed"]
    ended = [event["trial"] for event in of_kind(events, "trial_ended")]
    assert sorted(ended) == list(range(3))
    assert unfinished(events) == set()
    assert events[-1]["status"] == "finished"


def test_finished_trials_are_not_started_again(broken: Broken) -> None:
    before = broken.logs["once"]
    after = broken.logs["resumed"]
    assert after[: len(before)] == before
    over = {event["trial"] for event in of_kind(before, "trial_ended")}
    assert over
    assert not over & {event.get("trial") for event in after[len(before) :]}


def test_running_trials_go_on_from_their_last_checkpoint(broken: Broken) -> None:
    before = broken.logs["once"]
    reported = epochs_reported(before)
    again = epochs_reported(broken.logs["resumed"])[len(reported) :]
    for trial in unfinished(before):
        first = min(epoch for number, epoch in again if number == trial)
        assert first == last_epoch(reported, trial) + 1
    resumed = epochs_reported(broken.logs["resumed"][len(broken.logs["twice"]) :])
    assert resumed
    assert len(set(resumed)) == len(resumed)


def test_the_shared_stages_are_found_ready(broken: Broken) -> None:
    before = {stage["key"] for stage in of_kind(broken.logs["once"], "stage")}
    later = of_kind(broken.logs["resumed"][len(broken.logs["once"]) :], "stage")
    assert {stage["key"] for stage in later} == before
    assert all(stage["cached"] for stage in later)


def test_a_finished_study_is_left_as_it_is(broken: Broken) -> None:
    new = broken.logs["finished"][len(broken.logs["resumed"]) :]
    assert [event["event"] for event in new] == ["session_started", "session_ended"]
    assert broken.finished.exit_code == 0
    assert broken.finished.stdout.endswith("\nThe study is finished: 3 of 3 trials.\n")
    assert "Ray" not in broken.finished.output, "there is nothing to start it for"


def test_a_finished_study_can_be_given_more_trials(broken: Broken) -> None:
    new = broken.logs["extended"][len(broken.logs["finished"]) :]
    assert [event["trial"] for event in of_kind(new, "trial_ended")] == [3]
    assert [event["trial"] for event in of_kind(new, "trial_started")] == [3]
    assert len(rows(broken.study, "trials.csv")) == 4
    assert broken.said["extended"].splitlines()[-1] == "The study is finished: 4 of 4 trials."


def test_no_row_and_no_step_is_doubled_in_the_end(broken: Broken) -> None:
    assert_nothing_is_doubled(broken.study)
    assert broken.kept["finished"] == broken.kept["extended"] == set()
    assert list(broken.study.rglob("checkpoint_*")) == []


def test_an_interrupt_before_anything_began_leaves_nothing(tmp_path: Path) -> None:
    early = Run(*write_space(tmp_path, STUDY))
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
