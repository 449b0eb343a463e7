"""What happens beside a search in this process: a thread that waits for it and kills its worker."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.commands import PATIENCE_S


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do some work in a thread beside the body; what it raises, the body's end raises."""
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(work)
        yield
        done.result()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def trial_workers(driver: int) -> list[int]:
    """Return the processes in which trials of a driver run; a title names a class or a call."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
    of_trials = [n for n in titles if "Trainable" in titles[n] or "::Distill" in titles[n]]
    # Between them is the raylet.
    return [n for n in of_trials if parents.get(parents[n]) == driver]
