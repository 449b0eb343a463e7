"""Whether a driver keeps 64 slots busy through a thousand trials, in memory that stays flat.

``python -m tests.benchmarks.slots FOLDER NUM_TRIALS`` searches with trials that sleep as long as
recorded ones took, in slots that are declared and not there, and prints the driver's memory.
"""

import json
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from rich.console import Console

import distill_tune
from distill_tune.cluster.environment import prepare
from distill_tune.cluster.resources import slots
from distill_tune.interfaces import plain
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text, to_yaml
from distill_tune.terminal.search_view import ConsoleSearchView
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.tuner import TuneOptions, tune_trials
from tests.benchmarks.results import Result, spread
from tests.benchmarks.stand_in import (
    NUM_CORES,
    NUM_EPOCHS,
    StandIn,
    epoch_seconds,
    start_seconds,
)

NUM_SLOTS, NUM_TRIALS, NUM_FIRST = 64, 1000, 950
BUSY, RESUME_S, GROWTH = 0.95, 60.0, 1.5
_LOOK_EVERY_S = 5.0
SPACE = f"""\
study: slots
data: {{kind: digits, train_per_class: 6, val_per_class: 10}}
backbones: [resnet50]
trial: {{joint: {{epochs: {NUM_EPOCHS}, ramp_epochs: 1}}}}
space:
  joint.margin:          uniform(0.05, 0.9)
  joint.synthetic_ratio: uniform(0, 2)
  joint.hard_threshold:  uniform(0.1, 0.5)
  joint.gan_lr:          loguniform(1e-6, 2e-4)
search: {{num_trials: 1, controls: []}}
resources: {{cpus: 1, gpus: 0}}
"""
Events = list[dict[str, Any]]


def run(runs: int, scratch: Path) -> list[Result]:
    """Search with 950 trials, then go on to a thousand, as often as asked."""
    found = [_measure(scratch / str(number)) for number in range(runs)]
    numbers = {
        name: spread([one[name] for one in found], digits=3)
        for name in found[0]
        if name not in {"busy", "resume_s", "growth"}
    }
    note = (
        f"{NUM_TRIALS} trials that sleep as long as recorded ones took (four times the table of "
        f"quality, {NUM_EPOCHS} epochs, ASHA on the recorded values), {NUM_SLOTS} declared slots. "
        "Busy: the trials' own sleep over the slots' time, from when the last slot got its first "
        f"trial to when the last of the first {NUM_FIRST} trials began. The slots' processes take "
        f"turns to import Ray Tune on the {NUM_CORES} cores that are there."
    )
    return [
        Result(
            "slots/busy",
            "share of the slots' time that trials use",
            [one["busy"] for one in found],
            BUSY,
            "at least",
            numbers,
            [note],
        ),
        Result(
            "slots/resume",
            f"s from a resume of {NUM_FIRST} trials to its first new one",
            [one["resume_s"] for one in found],
            RESUME_S,
            "at most",
        ),
        Result(
            "slots/state",
            "records' time per trial, last hundred / first hundred",
            [one["growth"] for one in found],
            GROWTH,
            "at most",
        ),
    ]


def _measure(folder: Path) -> dict[str, float]:
    first = _search(folder, NUM_FIRST)
    study = StudyDirectory(str(folder / "study"))
    events = study.events()
    begun = time.time()
    _search(folder, NUM_TRIALS)
    resumed = study.events()[len(events) :]
    starts = [event["time"] for event in resumed if event["event"] == "trial_started"]
    return {
        "busy": busy_share(events, NUM_SLOTS),
        "resume_s": min(starts) - begun,
        "growth": _growth(first["records_s"]),
        "memory of the driver at 100 trials, MiB": first["rss_mib"][0],
        "memory of the driver at the end, MiB": first["rss_mib"][-1],
        "records, ms a trial": 1e3 * statistics.fmean(first["records_s"]),
        "search, s": events[-1]["time"] - events[0]["time"],
        "resume, s until the last new trial began": max(starts) - begun,
    }


def busy_share(events: Events, num_slots: int) -> float:
    """Return which share of the slots' time the trials' own sleep makes up."""
    starts = {e["trial"]: e["time"] for e in events if e["event"] == "trial_started"}
    ends = {e["trial"]: e["time"] for e in events if e["event"] == "trial_ended"}
    epochs: dict[int, int] = {}
    for event in events:
        if event["event"] == "epoch":
            epochs[event["trial"]] = epochs.get(event["trial"], 0) + 1
    begin, end = sorted(starts.values())[num_slots - 1], max(starts.values())
    used = 0.0
    for number, start in starts.items():
        slept = start_seconds(number) + epochs[number] * epoch_seconds(number)
        inside = max(0.0, min(ends[number], end) - max(start, begin))
        used += slept * inside / (ends[number] - start)
    return float(used / (num_slots * (end - begin)))


def _growth(seconds: list[float]) -> float:
    return statistics.fmean(seconds[-100:]) / statistics.fmean(seconds[:100])


def _search(folder: Path, num_trials: int) -> dict[str, list[float]]:
    prepare(None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.slots", str(folder / "study"), str(num_trials)],
        env=os.environ | {"PYTHONPATH": str(Path(distill_tune.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the search ended with {done.returncode}: {done.stderr}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


class _TimedJournal(Journal):
    """Notes what every record takes, by the trial that it ends with."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.seconds: list[float] = [0.0]

    def emit(self, kind: str, /, **fields: Any) -> None:
        begun = time.perf_counter()
        super().emit(kind, **fields)
        self.seconds[-1] += time.perf_counter() - begun
        if kind == "trial_ended":
            self.seconds.append(0.0)


def search(folder: str, num_trials: int) -> dict[str, list[float]]:
    """Search, or go on; return the driver's memory over time, and what records took."""
    document = read_yaml_text(SPACE, "slots.yaml")
    document.set(f"search.num_trials={num_trials}")
    study = parse(Study, document)
    directory = StudyDirectory(folder)
    if not directory.exists():
        directory.create()
    plain_study = plain(study)
    directory.write_text(STUDY_FILE, to_yaml(plain_study))
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    ray.init(
        address="local",
        num_cpus=NUM_SLOTS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    console = Console(file=(Path(folder).parent / "progress.txt").open("a"))
    # With study and images a process holds torch, and 64 of them more memory than there may be.
    bare = patch("ray.tune.with_parameters", lambda trainable, **_: trainable)
    with directory.lock(), bare, ConsoleSearchView(console, study) as progress:
        journal = _TimedJournal(directory, progress.listen)
        memory = _Memory(journal)
        journal.emit("session_started", command="slots", study=plain_study)
        options, bundle = TuneOptions(trainable=StandIn), slots(study.resources)
        tune_trials(study, study.data.load(), journal, bundle, options)
        journal.emit("session_ended", status="finished")
        directory.write_tables()
        memory.stop()
    ray.shutdown()
    return {"rss_mib": memory.found, "records_s": journal.seconds[:-1]}


class _Memory:
    """Looks at this process's memory, from its hundredth trial to its end."""

    def __init__(self, journal: _TimedJournal) -> None:
        self.found: list[float] = []
        self._journal, self._is_over = journal, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY_S):
            if len(self._journal.seconds) > 100:
                self.found.append(_rss_mib())

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()
        self.found.append(_rss_mib())


def _rss_mib() -> float:
    fields: Iterable[str] = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in fields if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(search(sys.argv[1], int(sys.argv[2]))) + "\n")
