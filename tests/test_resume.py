"""Searches that were interrupted or out of time, and what goes on from there."""

import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner, Result

from distill_tune.cli import app
from tests.commands import (
    STUDY,
    Event,
    Run,
    assert_nothing_is_doubled,
    epochs_reported,
    inside,
    is_mid_way,
    of_kind,
    read_events,
    rows,
    unfinished,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]


class Broken(NamedTuple):
    """A study that ran in four sessions: out of time, interrupted, to its end, extended.

    Attributes:
        study: Its directory.
        interrupted: The second session.
        said: What the others printed.
        logs: The log as it stood after each.
        second: What a search was told that came during the second session.
        finished: What a search was told that came after the third.
    """

    study: Path
    interrupted: Run
    said: dict[str, str]
    logs: dict[str, list[Event]]
    second: Result
    finished: Result


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    root = tmp_path_factory.mktemp("broken")
    command, study = write_space(root, STUDY), root / "runs/tiny"
    said, logs = {}, {}

    def note(name: str, done: Run | Result) -> None:
        said[name], logs[name] = done.stdout, read_events(study)

    note("out of time", inside(*command, "--time-budget", "0.2"))
    interrupted = Run(*command, "--resume")
    interrupted.wait_until(lambda: len(of_kind(read_events(study), "session_started")) == 2)
    second = CliRunner().invoke(app, ["resume", str(study)])
    interrupted.wait_until(lambda: is_mid_way(study))
    interrupted.send(signal.SIGINT)
    interrupted.wait()
    note("interrupted", interrupted)
    note("resumed", inside("resume", str(study)))
    finished = inside("resume", str(study))
    logs["finished"] = read_events(study)
    note("extended", inside("resume", str(study), "--num-trials", "8"))
    return Broken(study, interrupted, said, logs, second, finished)


def test_a_search_out_of_time_says_so_and_how_to_go_on(broken: Broken) -> None:
    lines = broken.said["out of time"].splitlines()
    assert lines[-2:] == [
        "time budget after 0 of 6 trials; go on with:",
        f"  distill-tune resume {broken.study}",
    ]
    assert broken.logs["out of time"][-1]["status"] == "time_budget"


def test_an_interrupted_search_exits_with_130_and_names_the_command_that_resumes(
    broken: Broken,
) -> None:
    done = broken.interrupted
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
    assert broken.said["extended"].splitlines()[-1] == "The study is finished: 8 of 8 trials."


def test_no_row_and_no_step_is_doubled_in_the_end(broken: Broken) -> None:
    assert_nothing_is_doubled(broken.study)
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
