"""Python in a process of its own, timed from its start to its exit."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Finished(NamedTuple):
    """A process that is over: what it wrote to stdout, and its wall time."""

    stdout: str
    seconds: float


def timed(*arguments: str) -> Finished:
    """Run ``python ARGUMENTS`` with this project's code to its end, which must be a success."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return Finished(done.stdout, seconds)


def environment() -> dict[str, str]:
    """Return this process's environment, in which this checkout is what is imported.

    Without what a search of ours in this process has set for Ray: a rival is to have Ray as it is.
    """
    path = os.environ.get("PYTHONPATH", "")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path)))}
