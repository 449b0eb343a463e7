"""Run steps, each in a process of its own, until the time is up; write what was found."""

import json
import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
import typer

from tests.gpu.place import Place

_LEAST_S = 2.0
"""With less time left, no step begins."""
_MOST = {"cuda": 3, "cpu": 30}
"""A step is stopped after so many times its usual seconds on a GPU."""


class Check(NamedTuple):
    """A step.

    Attributes:
        run: Asserts, and notes facts; its docstring says what it shows.
        seconds: About what it takes on a GPU.
        is_for_cpus: Whether it applies on a CPU, too.
    """

    run: Callable[[Place], None]
    seconds: float
    is_for_cpus: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__


class Outcome(NamedTuple):
    """Outcome of a step: ``passed``, ``failed``, ``skipped`` or ``no time``."""

    name: str
    shows: str
    status: str
    seconds: float
    detail: str
    facts: dict[str, Any]


def run_checks(checks: Sequence[Check], device: torch.device, seconds: float) -> list[Outcome]:
    """Run steps in order, and stop when the time is up."""
    deadline, outcomes = time.monotonic() + seconds, list[Outcome]()
    for check in checks:
        left = deadline - time.monotonic()
        outcomes.append(_outcome(check, device, left))
        typer.echo(f"{check.name}: {outcomes[-1].status} {outcomes[-1].detail}")
    return outcomes


def _outcome(check: Check, device: torch.device, left: float) -> Outcome:
    # A cell of a table: one line.
    shows = " ".join((check.run.__doc__ or "").split())
    if device.type == "cpu" and not check.is_for_cpus:
        return Outcome(check.name, shows, "skipped", 0.0, "needs a GPU", {})
    if left < _LEAST_S:
        return Outcome(check.name, shows, "no time", 0.0, "", {})
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        folder = Path(scratch, "work")
        folder.mkdir()
        place = Place(device, folder, Path(scratch, "facts"))
        place.facts.touch()
        error = Path(scratch, "error")
        began, most = time.monotonic(), _MOST[device.type] * check.seconds
        # A fork: torch is imported already, and no GPU is in use here.
        process = multiprocessing.get_context("fork").Process(
            target=_in_a_process, args=(check, place, error)
        )
        process.start()
        process.join(min(left, most))
        is_late = process.is_alive()
        _end(process)
        facts: dict[str, Any] = {}
        for line in place.facts.read_text("utf-8").splitlines():
            facts |= json.loads(line)
        took = round(time.monotonic() - began, 1)
        detail = error.read_text("utf-8") if error.exists() else ""
        if is_late:
            status = "no time" if left < most else "failed"
            return Outcome(check.name, shows, status, took, f"stopped after {took:.0f} s", facts)
        if process.exitcode and not detail:
            detail = f"its process ended with {process.exitcode}"
        return Outcome(check.name, shows, "failed" if detail else "passed", took, detail, facts)


def _in_a_process(check: Check, place: Place, error: Path) -> None:
    # What it starts ends with it.
    os.setsid()
    if not place.is_gpu:
        # Small networks gain nothing from threads, which wait for each other on a busy machine.
        torch.set_num_threads(1)
    try:
        check.run(place)
    except BaseException as raised:  # noqa: BLE001 - the next step can still run
        last = traceback.extract_tb(raised.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        text = " ".join(str(raised).split())[:500]
        error.write_text(f"{where}: {type(raised).__name__} {text}".strip(), encoding="utf-8")


def _end(process: Any) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def write(outcomes: Sequence[Outcome], folder: Path, device: torch.device) -> None:
    """Write ``gpu.json`` and ``gpu.md``."""
    plain = {"device": str(device), "steps": [one._asdict() for one in outcomes]}
    Path(folder, "gpu.json").write_text(f"{json.dumps(plain, indent=2)}\n", encoding="utf-8")
    lines = [f"# Checks on {device}", "", "| step | outcome | s | what was found |", "|-|-|-|-|"]
    for one in outcomes:
        facts = "; ".join(f"{name}: {_short(value)}" for name, value in one.facts.items())
        found = " ".join(filter(None, [one.detail, facts])).replace("|", "\\|")
        lines.append(f"| {one.name}: {one.shows} | {one.status} | {one.seconds:g} | {found} |")
    Path(folder, "gpu.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(one)}" for name, one in value.items())
    return str(value)
