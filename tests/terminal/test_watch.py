"""A study followed from outside: a line per change, or a view, until no search runs."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.status import status_info
from distill_tune.terminal import watch as watching
from distill_tune.terminal.watch import watch
from tests.confirmation.test_summary import log

TERMS = {
    "search": {"metric": "val/accuracy", "num_trials": 2},
    "trial": {"joint": {"epochs": 2}},
}
PARAMS = {"joint.margin": 0.123456, "gan.kind": "sngan[red]"}


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory(str(tmp_path / "runs/resnet"))
    directory.write_text("study.yaml", "study: resnet\n")
    directory.append({"event": "session_started", "command": "search", "study": TERMS})
    name = {"trial": 0, "name": "resnet50-0000", "backbone": "resnet50"}
    directory.append({"event": "trial_started", **name, "params": PARAMS})
    return directory


def pauses(directory: StudyDirectory, running: ExitStack) -> Callable[[float], None]:
    """Return pauses in which the search goes on: an epoch, nothing, the trial's end, its own."""
    metrics = {"objective": 0.5, "val/accuracy": 0.5}
    epoch = {"event": "epoch", "trial": 0, "epoch": 1, "metrics": metrics}
    end = {"event": "trial_ended", "trial": 0, "status": "pruned", "reason": "rung 1", "detail": ""}
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: directory.append(epoch),
            lambda: None,
            lambda: directory.append(end),
            lambda: directory.append({"event": "session_ended", "status": "interrupted"}),
        ]
    )

    def pause(_seconds: float) -> None:
        next(steps)()
        if directory.events()[-1]["event"] == "session_ended":
            running.close()

    return pause


def watched(directory: StudyDirectory, *, is_terminal: bool) -> list[str]:
    console = Console(
        width=80, height=24, file=io.StringIO(), force_terminal=is_terminal, color_system=None
    )
    with ExitStack() as running:
        running.enter_context(directory.lock())
        watch(directory, console, pauses(directory, running))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def test_in_a_pipe_a_change_is_a_line(directory: StudyDirectory) -> None:
    assert watched(directory, is_terminal=False) == [
        "resnet: running, 0/2 trials",
        "resnet50-0000: epoch 1/2  val/accuracy 0.5000",
        "resnet50-0000: pruned (rung 1)  best 0.5000",
        "resnet: interrupted, 1/2 trials, best resnet50-0000 0.5000",
    ]


def test_on_a_terminal_a_view_is_redrawn_and_the_status_stays(directory: StudyDirectory) -> None:
    text = "\n".join(watched(directory, is_terminal=True))
    while_it_ran, _, in_the_end = text.rpartition("\x1b[?25h")
    for part in ("resnet running", "pruned (rung 1)", "margin=0.123 kind=sngan[red]"):
        assert part in while_it_ran
    assert "resnet interrupted" in in_the_end
    assert "running" not in in_the_end


@pytest.mark.parametrize("height", [22, 24, 50])
def test_the_view_fits_the_terminal(directory: StudyDirectory, height: int) -> None:
    for number in range(40):
        name = {"trial": number, "name": f"resnet50-{number:04d}", "backbone": "resnet50"}
        directory.append({"event": "trial_started", **name, "params": PARAMS})
        directory.append({"event": "warning", "text": f"no {number}"})
        stage = {"name": f"warmup seed={number}", "key": f"{number}", "cached": False}
        directory.append({"event": "stage", **stage, "seconds": 1.0, "cost_s": 1.0, "metrics": {}})
    console = Console(width=120, height=height, force_terminal=True)
    lines = console.render_lines(
        watching._view(status_info(directory), directory.events(), console)
    )
    assert len(lines) <= height


def test_the_view_names_the_least_fit_generator(directory: StudyDirectory) -> None:
    for name, agreement in (("warmup lr=1", 0.96), ("warmup lr=2", 0.41)):
        stage = {"name": name, "key": name, "cached": False, "seconds": 1.0, "cost_s": 1.0}
        curve = [{"step": 50, "agreement": agreement, "diversity": 0.8}]
        directory.append({"event": "stage", **stage, "steps": 50, "curve": curve})
    console = Console(width=80, height=24, file=io.StringIO(), color_system=None)
    console.print(watching._view(status_info(directory), directory.events(), console))
    assert isinstance(console.file, io.StringIO)
    assert "warmup lr=2: 50 steps, agreement 0.41, diversity 0.80\n" in console.file.getvalue()
    assert "warmup lr=1" not in console.file.getvalue()


def test_in_a_pipe_a_confirmation_is_a_line_per_run(directory: StudyDirectory) -> None:
    directory.append({"event": "session_ended", "status": "finished"})
    begun, *events = log({"resnet50": {"baseline": [0.5], "gan_distillation": [0.6]}})
    begun["plan"]["arms"] = ["baseline", "gan_distillation"]
    stage = {"event": "stage", "name": "warmup seed=1000", "key": "k", "cached": False}
    steps = iter([begun, stage | {"seconds": 1.0, "cost_s": 1.0, "metrics": {}}, *events])
    console = Console(width=80, file=io.StringIO())

    def pause(_seconds: float) -> None:
        event = next(steps, None)
        if event is None:
            running.close()
        else:
            directory.append(event)

    with ExitStack() as running:
        running.enter_context(directory.lock())
        watch(directory, console, pause)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[:5] == [
        "resnet: running, 0/2 trials",
        "confirmation: running",
        "confirmation: 0 of 1 seeds, 1 of 2 runs",
        "confirmation: 1 of 1 seeds, 2 of 2 runs",
        "resnet: finished, 0/2 trials",
    ]
    assert lines[5] == "confirmation: finished"
    assert lines[6].startswith("resnet50: ")
    assert len(lines) == 7


def test_a_study_that_does_not_run_is_shown_once(directory: StudyDirectory) -> None:
    done = CliRunner().invoke(app, ["status", directory.root, "--watch"])
    assert (done.exit_code, done.stdout) == (0, "resnet: interrupted, 0/2 trials\n")


def test_watching_ends_with_the_json_of_the_status(directory: StudyDirectory) -> None:
    done = CliRunner().invoke(app, ["status", directory.root, "--watch", "--json"])
    assert json.loads(done.stdout)["state"] == "interrupted"
    assert done.stderr == "resnet: interrupted, 0/2 trials\n"


def test_ctrl_c_on_a_terminal_leaves_the_status(directory: StudyDirectory) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    with directory.lock(), pytest.raises(KeyboardInterrupt):
        watch(directory, console, interrupted)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "resnet running" in text.rpartition("\x1b[?25h")[2]


def test_ctrl_c_ends_watching_alone(
    directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "watch", interrupted)
    assert CliRunner().invoke(app, ["status", directory.root, "--watch"]).exit_code == 0


def test_a_log_that_does_not_tell_its_terms_is_watched_all_the_same(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.write_text("study.yaml", "")
    directory.append({"event": "session_started", "study": {"search": None}})
    console = Console(file=io.StringIO())
    assert watch(directory, console).state == "new"
