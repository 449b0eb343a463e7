"""Where what a command says goes: into files, notebooks and pipes that somebody closes."""

import io
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import distill_tune
from distill_tune.api import _console
from distill_tune.cli.running import console as console_of_commands
from distill_tune.records.directory import StudyDirectory
from distill_tune.terminal.study_tables import console_on


class Notebook(io.StringIO):
    """Stands for the stdout of a kernel, which is no terminal."""


class Terminal(io.StringIO):
    """Stands for a terminal."""

    def isatty(self) -> bool:
        return True


MAKERS = [
    console_on,
    partial(_console, progress=True),
    partial(console_of_commands, as_json=False),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_what_is_no_terminal_gets_lines_whatever_is_said_of_colours(
    monkeypatch: pytest.MonkeyPatch, make: Any, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Notebook())
    assert Console(force_jupyter=False).is_terminal, "so a library takes it"
    console = make()
    assert not console.is_terminal
    console.print("[red]red[/red]")
    assert console.file.getvalue() == "\x1b[31mred\x1b[0m\n"


@pytest.mark.parametrize("make", MAKERS)
def test_a_terminal_is_one(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert make().is_terminal


def test_without_progress_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    console = _console(progress=False)
    console.print("a word")
    assert not console.is_terminal
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_heard_enough_ends_a_command_without_a_word(
    tmp_path: Path, options: list[str]
) -> None:
    directory = StudyDirectory(str(tmp_path / "s"))
    directory.write_text("study.yaml", "study: s\n")
    directory.append({"event": "session_started", "command": "search"})
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "distill_tune.cli", "status", str(tmp_path / "s"), *options],
        env=os.environ | {"PYTHONPATH": str(Path(distill_tune.__file__).parents[1])},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
