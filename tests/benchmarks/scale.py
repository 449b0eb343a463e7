"""What a trial costs the driver: the last hundred of a long search against the first hundred."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distill_tune
from distill_tune.cluster.environment import prepare
from distill_tune.records.directory import StudyDirectory
from tests.benchmarks.results import Result, spread

SIZES = (100, 300, 1000)
HUNDRED = 100
WARM_UP = 10
"""Trials at the start that are not counted: Ray's workers start in them."""
WORST_GROWTH = 1.5
_ROOT = str(Path(distill_tune.__file__).parents[1])


@dataclass(frozen=True)
class Search:
    """What a search of trials that do nothing came to.

    Attributes:
        ends: Times at which trials were over, in seconds, ascending.
        rss_mib: The greatest memory of the driver's process.
        disk_mib: Size of the study directory.
        status_s: What ``distill-tune status`` takes on it.
        resume_s: What ``distill-tune resume`` takes, though there is nothing left to do.
    """

    ends: list[float]
    rss_mib: float
    disk_mib: float
    status_s: float
    resume_s: float

    @property
    def seconds_per_trial(self) -> float:
        """Of all trials but those of the start."""
        return _per_trial(self.ends[WARM_UP:])

    @property
    def growth(self) -> float:
        """Seconds per trial among the last hundred over those among the first hundred."""
        first = self.ends[WARM_UP : WARM_UP + HUNDRED + 1]
        return _per_trial(self.ends[-HUNDRED - 1 :]) / _per_trial(first)


def run(runs: int, scratch: Path) -> list[Result]:
    """Search with 100, 300 and 1,000 trials in turn, as often as asked."""
    found = {size: list[Search]() for size in SIZES}
    for number in range(runs):
        for size in SIZES:
            found[size].append(measure(scratch / f"{number}-{size}", size))
    longest = found[SIZES[-1]]
    numbers: dict[str, str] = {}
    for size, searches in found.items():
        numbers |= {
            f"{size} trials, ms a trial": _spread(1e3 * s.seconds_per_trial for s in searches),
            f"{size} trials, the driver's greatest memory, MiB": _spread(
                s.rss_mib for s in searches
            ),
            f"{size} trials, study directory, MiB": _spread(s.disk_mib for s in searches),
        }
    numbers["1000 trials, status, s"] = spread([s.status_s for s in longest])
    numbers["1000 trials, resume with nothing left to do, s"] = spread(
        [s.resume_s for s in longest]
    )
    return [
        Result(
            name="scale",
            what="seconds per trial of the last hundred of 1,000 / of the first hundred",
            ratios=[search.growth for search in longest],
            floor=WORST_GROWTH,
            bound="at most",
            numbers=numbers,
            notes=[
                (
                    "Trials report twice (one worse than all before it: once) and do nothing, two "
                    "at a time; four dimensions, TPE, ASHA, the log on disk twice at every event, "
                    "a checkpoint a report. The first "
                    f"{WARM_UP} trials, in which Ray's workers start, are not counted."
                )
            ],
        )
    ]


def measure(folder: Path, num_trials: int) -> Search:
    """Run one search in a process of its own, then look at what it left."""
    study = folder / "study"
    prepare(None)
    output = _python("-m", "tests.benchmarks.empty_search", str(study), str(num_trials))
    log = StudyDirectory(str(study)).events()
    command = ("-m", "distill_tune.cli")
    return Search(
        ends=sorted(event["time"] for event in log if event["event"] == "trial_ended"),
        rss_mib=json.loads(output.splitlines()[-1])["rss_mib"],
        disk_mib=StudyDirectory(str(study)).disk_bytes() / 2**20,
        status_s=_seconds(*command, "status", str(study)),
        resume_s=_seconds(*command, "resume", str(study)),
    )


def _seconds(*arguments: str) -> float:
    begun = time.perf_counter()
    _python(*arguments)
    return time.perf_counter() - begun


def _python(*arguments: str) -> str:
    """Return what a Python process prints."""
    environment = os.environ | {"PYTHONPATH": _ROOT}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _per_trial(ends: list[float]) -> float:
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def _spread(values: Any) -> str:
    return spread(list(values), digits=1)
