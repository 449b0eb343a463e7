"""The command line as the tests use it: tiny studies, runs that are watched, stopped and read."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from typer.testing import CliRunner, Result

import distill_tune
from distill_tune.cli import app
from distill_tune.cluster.environment import _ALWAYS, _ON_THIS_MACHINE

PATIENCE_S = 300.0
"""Other work may share the machine: nothing here waits for less before it gives up."""

TRIAL = """\
trial:
  classifier: {epochs: 2, batch_size: 30}
  gan: {generator_width: 8, generator_min_width: 4, discriminator_width: 4,
        warmup_steps: 10, triplet_steps: 2, batch_size: 10, judge_steps: 20}
  joint: {epochs: 4, ramp_epochs: 1, min_hard: 2, monitor_images: 20}
"""

STUDY = f"""\
study: tiny
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones: [squeezenet1_1, shufflenet_v2_x0_5]
{TRIAL}\
space:
  joint.margin:          uniform(0.05, 0.9)
  joint.synthetic_ratio: uniform(0, 2)
  joint.gan_lr:          {{type: loguniform, min: 1e-6, max: 2e-4, or_zero: 0.1}}
search: {{num_trials: 6, checkpoint_share: 1, controls: []}}
"""
"""Two cheap backbones on digits of 8x8 pixels: an epoch takes about a second."""

OWN_TRIPLETS = STUDY.replace("controls: []", "controls: [], triplet: per_trial")
"""The same, with a triplet pre-training of each trial."""

ONE_SLOT = "resources: {cpus: 1, gpus: 0, max_concurrent: 1}\n"
"""One worker for stages and one for trials, not two of each: their start takes longest."""

ONE_AT_A_TIME = (
    STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", "[shufflenet_v2_x0_5]")
    .replace("num_trials: 6", "num_trials: 3, num_startup_trials: 1, min_epochs: 8")
    .replace("joint: {epochs: 4", "joint: {epochs: 9")
) + ONE_SLOT
"""Trials in a row: whatever happens to the search, it ends with the same numbers."""

Event = dict[str, Any]


def write_package(folder: Path, name: str, source: str) -> Path:
    """Write a package that is one file; return its own folder."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    return package


def untouched() -> dict[str, str]:
    """Return this environment without what a search in this process has set for Ray.

    A command that no longer sets it itself would not be noticed otherwise.
    """
    ours = {"RAY_ADDRESS", *_ALWAYS, *_ON_THIS_MACHINE}
    return {name: value for name, value in os.environ.items() if name not in ours}


class Run:
    """One ``distill-tune`` command in a process and a session of its own.

    Args:
        *arguments: Of ``distill-tune``.
        before: Words that come before the command, of a program that runs it.
        **variables: Of its environment.
    """

    def __init__(self, *arguments: str, before: Sequence[str] = (), **variables: str) -> None:
        root = str(Path(distill_tune.__file__).parents[1])
        # One thread each: equal sums need an equal order of summands.
        environment = untouched() | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"} | variables
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "distill_tune.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.stdout = self.stderr = ""

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Return the exit status, negative for a signal."""
        try:
            self.stdout, self.stderr = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.stdout, self.stderr = self.process.communicate()
            raise AssertionError(f"no end in sight: {self.output}") from None
        return self.process.returncode

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a condition while the command runs."""
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > until:
                self.send(signal.SIGKILL)
                self.wait()
                raise AssertionError(f"it never came to that: {self.output}")
            time.sleep(0.05)

    def send(self, which: signal.Signals) -> None:
        """Send a signal to the command alone, not to what it started."""
        self.process.send_signal(which)

    @property
    def output(self) -> str:
        """All that it said."""
        return f"{self.stdout}\n{self.stderr}"

    def wait_for_silence(self, *, but_for: str = "\n") -> None:
        """Wait until nothing that the command started runs, but for titles with that in them."""
        until = time.monotonic() + PATIENCE_S
        while left := [title for title in self.survivors().values() if but_for not in title]:
            assert time.monotonic() < until, left
            time.sleep(0.1)

    def survivors(self) -> dict[int, str]:
        """Return the processes of the command's session that run: number to title."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    title = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = title.decode(errors="replace")
        return found


def run(*arguments: str, patience_s: float = PATIENCE_S) -> Run:
    """Run a command to its end, which must be a success."""
    done = Run(*arguments)
    assert done.wait(patience_s) == 0, done.output
    return done


def inside(*arguments: str) -> Result:
    """Run a command in this process, with the Ray that tests share, to a success."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result


def read_events(study: Path) -> list[Event]:
    """Return the whole lines of a study's log."""
    path = study / "events.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def of_kind(events: list[Event], kind: str) -> list[Event]:
    """Return the events of one kind."""
    return [event for event in events if event["event"] == kind]


def checkpoints(study: Path, trial: str = "*") -> list[Path]:
    """Return the folders of Ray's checkpoints, oldest first, be they whole or not."""
    found = study.glob(f"ray/session-*/{trial}/checkpoint_*")
    return sorted(found, key=lambda path: (path.parts[-3], path.name))


def is_whole(checkpoint: Path) -> bool:
    """Whether all of a checkpoint is there, and not only a part of what is being copied."""
    with suppress(OSError, ValueError):
        expected = json.loads((checkpoint / "trial.json").read_text())["bytes"]
        return bool((checkpoint / "trial.pt").stat().st_size == expected)
    return False


def warnings_in(events: list[Event]) -> list[str]:
    """Return the texts of warnings, but for those of generators that are not fit.

    Warm-ups of ten steps leave no other ones.
    """
    texts = [str(event["text"]) for event in of_kind(events, "warning")]
    return [text for text in texts if "the generator is not fit" not in text]


def epochs_reported(events: list[Event]) -> list[tuple[int, int]]:
    """Return ``(trial, epoch)`` of every report, in their order."""
    return [(event["trial"], event["epoch"]) for event in of_kind(events, "epoch")]


def unfinished(events: list[Event]) -> set[int]:
    """Return the trials that were started and have not ended."""
    started = {event["trial"] for event in of_kind(events, "trial_started")}
    return started - {event["trial"] for event in of_kind(events, "trial_ended")}


def scalars(board: Path) -> dict[tuple[str, int], list[float]]:
    """Return every value written to a trial's TensorBoard run, by (tag, step)."""
    found: dict[tuple[str, int], list[float]] = {}
    for path in sorted(board.glob("*tfevents*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault((value.tag, event.step), []).append(value.simple_value)
    return found


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
    assert [board.name for board in boards if is_doubled(board)] == []


def is_doubled(board: Path) -> bool:
    """Whether a TensorBoard run holds a value of the same tag and step twice."""
    return any(len(values) > 1 for values in scalars(board).values())


def write_space(folder: Path, text: str) -> list[str]:
    """Write a space; return the command that searches it."""
    space = folder / "tiny.yaml"
    space.write_text(text, encoding="utf-8")
    return ["search", "--space", str(space), "--storage", str(folder / "runs")]


def is_mid_way(study: Path, least: int = 2, most: int | None = None) -> bool:
    """Return whether a trial is over and another has so many epochs behind it, but not all."""
    events = read_events(study)
    last = dict(epochs_reported(events))
    begun = {trial for trial, epoch in last.items() if least <= epoch <= (most or epoch)}
    return bool(of_kind(events, "trial_ended")) and bool(begun & unfinished(events))
