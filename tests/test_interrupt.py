"""Ctrl-C once: the epoch is finished and kept; twice: everything stops at once."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from distill_tune.training.checkpoints.content import read_checkpoint
from tests.commands import (
    STUDY,
    Event,
    Run,
    assert_nothing_is_doubled,
    checkpoints,
    epochs_reported,
    inside,
    of_kind,
    read_events,
    unfinished,
    write_space,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("our_ray")]

NOTICE = "finishing the epoch; Ctrl-C again to stop at once"

LONG_EPOCHS = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("train_per_class: 6", "train_per_class: 24")
    .replace("checkpoint_share: 1", "checkpoint_share: 1e-6, min_epochs: 4")
    .replace("num_trials: 6", "num_trials: 2")
)
"""Epochs of seconds, and no checkpoint but that of an interrupt."""


class Interrupted(NamedTuple):
    """A study interrupted once, then twice in a row, then left alone.

    Attributes:
        study: Its directory.
        runs: The two that were interrupted.
        logs: The log as it stood after each.
        kept: The epochs after which trials were saved, as it stood after each.
    """

    study: Path
    runs: list[Run]
    logs: list[list[Event]]
    kept: list[dict[int, int]]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    root = tmp_path_factory.mktemp("interrupted")
    command, study = write_space(root, LONG_EPOCHS), root / "runs/tiny"
    found = Interrupted(study, [], [], [])

    def note() -> None:
        found.logs.append(read_events(study))
        found.kept.append(saved_epochs(study))

    once = Run(*command)
    once.wait_until(lambda: bool(epochs_reported(read_events(study))))
    press_ctrl_c(once)
    once.wait()
    note()
    twice = Run("resume", str(study))
    num_before = len(found.logs[0])
    twice.wait_until(lambda: bool(epochs_reported(read_events(study)[num_before:])))
    press_ctrl_c(twice)
    assert twice.process.stdout is not None
    while NOTICE not in twice.process.stdout.readline():
        assert twice.process.poll() is None
    press_ctrl_c(twice)
    twice.wait()
    note()
    inside("resume", str(study))
    note()
    found.runs.extend((once, twice))
    return found


def saved_epochs(study: Path) -> dict[int, int]:
    """Return each trial's newest saved epoch."""
    cpu = torch.device("cpu")
    saved = {path.parent.name: read_checkpoint(path, cpu) for path in checkpoints(study)}
    return {int(name[-4:]): content["trial"]["joint_epoch"] for name, content in saved.items()}


def press_ctrl_c(running: Run) -> None:
    """Interrupt as a terminal does: the command and all that it started in the foreground."""
    os.killpg(running.process.pid, signal.SIGINT)


def test_once_says_what_it_waits_for_and_how_to_go_on(interrupted: Interrupted) -> None:
    done = interrupted.runs[0]
    assert done.process.returncode == 130
    assert NOTICE in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == f"  distill-tune resume {interrupted.study}"
    assert "Traceback" not in done.output


def test_after_once_no_epoch_is_computed_twice(interrupted: Interrupted) -> None:
    before = interrupted.logs[0]
    reported = epochs_reported(before)
    again = epochs_reported(interrupted.logs[1][len(before) :])
    assert again
    assert not set(reported) & set(again)
    # The epoch that was in work at the interrupt is reported, and saved by Ray.
    running = unfinished(before)
    last = {trial: max((e for n, e in reported if n == trial), default=0) for trial in running}
    assert interrupted.kept[0] == {trial: epoch for trial, epoch in last.items() if epoch}
    assert max(last.values()) >= 2


def test_twice_waits_for_nothing(interrupted: Interrupted) -> None:
    assert interrupted.runs[1].process.returncode == 130
    # An epoch may end between the two; what was kept before is not lost.
    assert set(interrupted.kept[0]) <= set(interrupted.kept[1])
    assert interrupted.logs[1][-1]["status"] == "interrupted"
    assert "Traceback" not in interrupted.runs[1].output
    interrupted.runs[1].wait_for_silence(but_for="Agent")


def test_in_the_end_all_is_there_once(interrupted: Interrupted) -> None:
    ended = of_kind(interrupted.logs[2], "trial_ended")
    assert sorted(event["trial"] for event in ended) == [0, 1]
    assert interrupted.kept[2] == {}
    assert_nothing_is_doubled(interrupted.study)
