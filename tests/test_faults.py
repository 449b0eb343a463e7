"""Faults of the machine: a full disk, a signal, memory that runs out, a reset that fails."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.beside import meanwhile, trial_workers, until
from tests.commands import (
    ONE_AT_A_TIME,
    Run,
    assert_nothing_is_doubled,
    epochs_reported,
    inside,
    is_mid_way,
    of_kind,
    read_events,
    rows,
    warnings_in,
    write_space,
)

pytestmark = pytest.mark.usefixtures("our_ray")

SHORT = ONE_AT_A_TIME.replace("joint: {epochs: 9", "joint: {epochs: 3").replace(
    "min_epochs: 8", "min_epochs: 3"
)
GB = 1 << 30
NAME = "shufflenet_v2_x0_5"


def listening(run: Run) -> set[str]:
    """Return the addresses on which a command's processes wait for connections, in hexadecimal."""
    inodes = set()
    for process in run.survivors():
        with suppress(OSError):
            links = [link.readlink() for link in Path(f"/proc/{process}/fd").iterdir()]
            inodes |= {str(link)[8:-1] for link in links if str(link).startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if state == "0A" and rest[5] in inodes:
                found.add(local.partition(":")[0])
    return found


def assert_finished(study: Path, num_trials: int) -> None:
    """Check that a study came to its end with every trial once."""
    assert [row["number"] for row in rows(study, "trials.csv")] == list(map(str, range(num_trials)))
    assert {row["state"] for row in rows(study, "trials.csv")} == {"complete"}
    assert_nothing_is_doubled(study)


def memory_bytes() -> tuple[int, int]:
    """Return the memory of this machine, and how much of it is free for use."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return found["MemTotal"], found["MemAvailable"]


def events_of_trials(study: Path) -> set[tuple[str, int]]:
    """Return what kinds of events there are of which trials."""
    return {(event["event"], event["trial"]) for event in read_events(study) if "trial" in event}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 12 MB."""
    mount = shutil.which("mount")
    folder = tmp_path / "runs"
    folder.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if mount else None
    if done is None or done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr if done else 'no mount'}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


@pytest.mark.slow
def test_a_full_disk_stops_the_search_with_a_message_and_room_lets_it_go_on(
    small_disk: Path, tmp_path: Path
) -> None:
    stopped = Run(*write_space(tmp_path, SHORT))
    assert stopped.wait() == 1, stopped.output
    study = small_disk / "tiny"
    lines = stopped.stderr.splitlines()
    assert "No space left on device" in lines[-2]
    assert lines[-1] == f"Make room, then go on with: distill-tune resume {study}"
    assert "Traceback" not in stopped.output
    larger = ["mount", "-o", "remount,size=400m", str(small_disk)]
    subprocess.run(larger, check=True)
    inside("resume", str(study))
    assert_finished(study, 3)


@pytest.mark.storm
def test_a_terminated_search_goes_on_where_it_was(tmp_path: Path) -> None:
    terminated, study = Run(*write_space(tmp_path, SHORT)), tmp_path / "runs/tiny"
    terminated.wait_until(lambda: is_mid_way(study))
    addresses = listening(terminated)
    terminated.send(signal.SIGTERM)
    assert terminated.wait() == 130, terminated.output
    # Whoever else is on the network finds no open door: 127.0.0.1, in both notations.
    assert addresses
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert terminated.stdout.splitlines()[-1] == f"  distill-tune resume {study}"
    assert "Traceback" not in terminated.output
    before = epochs_reported(read_events(study))
    inside("resume", str(study))
    assert_finished(study, 3)
    again = epochs_reported(read_events(study))[len(before) :]
    assert not set(before) & set(again)


@pytest.mark.storm
def test_a_reset_that_fails_is_tried_again_and_costs_no_trial(tmp_path: Path) -> None:
    obstacle = tmp_path / "runs/tiny/tensorboard" / f"{NAME}-0001"
    study = tmp_path / "runs/tiny"

    def hinder() -> None:
        until(lambda: bool(of_kind(read_events(study), "data")))
        obstacle.parent.mkdir(exist_ok=True)
        obstacle.write_text("a file where trial 1 wants its folder")
        until(lambda: bool(warnings_in(read_events(study))))
        obstacle.unlink()

    with meanwhile(hinder):
        inside(*write_space(tmp_path, SHORT))
    first, *_ = warnings_in(read_events(study))
    assert first.startswith(f"{NAME}-0001 continues from its last checkpoint: ")
    assert obstacle.name in first
    assert_finished(study, 3)


@pytest.mark.storm
def test_a_worker_that_rays_memory_monitor_kills_costs_its_trial_only(tmp_path: Path) -> None:
    """This process takes what the monitor leaves, until it kills the worker of trial 0."""
    total, available = memory_bytes()
    if available < 10 * GB:
        pytest.skip(f"the monitor can be provoked with 10 GB of free memory: {available / GB:.0f}")
    # Half of what is free: tests beside this one take some of it meanwhile, and give it back.
    study, limit = tmp_path / "runs/tiny", (total - available + available // 2) / total
    searching = Run(
        *write_space(tmp_path, SHORT),
        "--no-shared-stages",
        "--num-trials",
        "2",
        RAY_memory_usage_threshold=f"{limit:.4f}",
        RAY_memory_monitor_refresh_ms="50",
    )
    searching.wait_until(lambda: ("epoch", 0) in events_of_trials(study))
    # It is held, lest it come to its end before the monitor comes to it.
    (worker,) = trial_workers(searching.process.pid)
    os.kill(worker, signal.SIGSTOP)
    hog: list[bytearray] = []

    def is_killed() -> bool:
        total, available = memory_bytes()
        if 1 - available / total < limit + 0.01:
            hog.append(bytearray(b"x") * GB)
        return ("trial_ended", 0) in events_of_trials(study)

    searching.wait_until(is_killed)
    hog.clear()
    assert searching.wait() == 0, searching.output
    table = rows(study, "trials.csv")
    assert [row["state"] for row in table] == ["failed", "complete"]
    (failed,) = [e for e in of_kind(read_events(study), "trial_ended") if e["status"] == "failed"]
    assert failed["reason"] == "out_of_memory"
    assert failed["detail"].startswith(f"{NAME} with batches of 30, GAN 10: its worker was killed")
    assert_nothing_is_doubled(study)
