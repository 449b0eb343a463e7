"""The live view: it fits the terminal, and what matters is never cut off."""

import io
import re
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from distill_tune.distill.trial import Report
from distill_tune.records.replay import Fold, fold
from distill_tune.records.trials import Event
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.event_lines import StudyGoals, event_line
from distill_tune.terminal.search_view import ConsoleSearchView
from distill_tune.training.stages import shared_jobs
from distill_tune.tuning.time_left import SearchTimeLeft
from tests.commands import STUDY

NUM_TRIALS = 30


def events(num_trials: int) -> list[Event]:
    """Return the log of a search whose last two trials run, of which one has no epoch yet."""
    found: list[Event] = []
    for number in range(num_trials):
        backbone = ("squeezenet1_1", "shufflenet_v2_x0_5")[number % 2]
        params = {"joint.margin": 0.123456, "joint.synthetic_ratio": 1.5, "joint.gan_lr": 1e-5}
        trial = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
        found.append({"event": "trial_started", "params": params, "time": number, **trial})
        if number < num_trials - 1:
            metrics = {"objective": number / 100}
            epoch = {"trial": number, "epoch": 2, "metrics": metrics, "time": number}
            found.append({"event": "epoch", **epoch})
        if number < num_trials - 2:
            end = {"status": "pruned", "reason": "rung 2", "time": number}
            found.append({"event": "trial_ended", "trial": number, **end})
    return found


def view(num_trials: int, width: int, height: int) -> list[str]:
    """Return the live view's lines."""
    text = STUDY.replace("num_trials: 6", f"num_trials: {NUM_TRIALS}")
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
    progress = ConsoleSearchView(console, parse(Study, read_yaml_text(text, "tiny.yaml")))
    log = events(num_trials)
    state = fold(log)
    for event in log:
        progress.listen(event, state)
    progress.stage("warmup", Report("warmup", 3, 10, {}, 1.0))
    with console.capture() as capture:
        console.print(progress._view())
    return Text.from_ansi(capture.get()).plain.splitlines()


@pytest.mark.parametrize("height", [16, 24, 50])
@pytest.mark.parametrize("width", [80, 120])
def test_the_view_fits_the_terminal(width: int, height: int) -> None:
    lines = view(NUM_TRIALS, width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width


def test_the_summary_comes_first_and_running_trials_are_shown() -> None:
    lines = view(NUM_TRIALS, 80, 24)
    head = " ".join(" ".join(lines[:4]).split())
    assert "28/30 trials" in head
    assert "best squeezenet1_1-0028 0.2800" in head
    assert any("warmup: 3/10" in line for line in lines)
    running = [line for line in lines if "running" in line]
    assert [line.split()[0] for line in running] == ["28", "29"]
    assert any("pruned (rung 2)" in line for line in lines)


def test_before_the_first_trial_there_is_no_table() -> None:
    lines = view(0, 80, 24)
    assert any("0/30 trials" in line for line in lines)
    assert not any("params" in line for line in lines)


def test_in_a_notebook_an_event_is_a_line_and_nothing_is_redrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("rich.jupyter.display", lambda _, text: shown.append(text))
    console = Console(force_jupyter=True, width=80)
    log = events(3)
    with ConsoleSearchView(console, parse(Study, read_yaml_text(STUDY, "tiny.yaml"))) as progress:
        for event in log:
            progress.listen(event, fold(log))
        progress.stage("warmup", "")
    assert len(shown) == len(log)


def test_in_a_log_file_a_line_is_never_broken() -> None:
    file = io.StringIO()
    progress = ConsoleSearchView(
        Console(width=20, file=file), parse(Study, read_yaml_text(STUDY, "t.yaml"))
    )
    progress.say("a line that is longer than twenty columns")
    assert file.getvalue() == "a line that is longer than twenty columns\n"


STAGE: Event = {
    "event": "stage",
    "time": 1.0,
    "name": "warmup",
    "key": "k",
    "seconds": 52.0,
    "cost_s": 52.0,
    "cached": False,
    "steps": 750,
    "max_steps": 2000,
    "curve": [{"step": 750, "agreement": 0.9649, "diversity": 0.8125}],
}
LINE = "shared stage warmup: 750 steps (auto), agreement 0.96, diversity 0.81, in 52s"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_stage_says_how_many_steps_it_took_and_what_they_came_to(is_terminal: bool) -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=is_terminal, color_system=None)
    progress = ConsoleSearchView(console, parse(Study, read_yaml_text(STUDY, "tiny.yaml")))
    progress.listen(STAGE, fold([STAGE]))
    ready = {**STAGE, "cached": True, "steps": 2000, "seconds": 0.0}
    progress.listen(ready, fold([ready]))
    assert isinstance(console.file, io.StringIO)
    first, *rest = console.file.getvalue().splitlines()
    end = "" if is_terminal else "  [0/6 trials, 0s]"
    assert first == f"{LINE}{end}"
    assert (
        " ".join(rest).split()
        == (
            "shared stage warmup: 2000 steps (auto, its limit), agreement 0.96, diversity 0.81, "
            f"found ready{end}"
        ).split()
    )


def test_a_stage_of_an_older_log_says_what_it_said() -> None:
    old = {key: STAGE[key] for key in list(STAGE)[:7]}
    assert (
        event_line(old, fold([old]), StudyGoals("objective", 1, 1)) == "shared stage warmup: in 52s"
    )


class Piped:
    """A search whose view is read as a log file."""

    def __init__(self) -> None:
        self.file, self.log = io.StringIO(), Fold()
        self.study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
        self.view = ConsoleSearchView(Console(file=self.file), self.study)

    def tell(self, kind: str, **fields: Any) -> None:
        event: Event = {"event": kind, "time": 1.0, **fields}
        self.log.add(event)
        self.view.listen(event, self.log.state)

    def beat(self) -> str:
        """Return the line that a silence causes, without the time so far."""
        self.file.truncate(self.file.seek(0))
        self.view.beat()
        return re.sub(r"trials, \d+s", "trials, 0s", self.file.getvalue().rstrip("\n"))


def test_a_silence_is_told_from_the_start_to_the_end() -> None:
    piped = Piped()
    assert piped.beat() == "starting workers  [0/6 trials, 0s]"
    left = SearchTimeLeft(piped.study, 60, piped.log.state)
    left.expect(shared_jobs(piped.study), 2)
    piped.view.expect(left)
    assert piped.beat() == "starting workers  [0/6 trials, 0s]"
    piped.view.stage("warmup", Report("warmup", 2, 10, {}, 90.0))
    piped.view.stage("warmup", Report("warmup", 4, 10, {}, 20.0))
    told = piped.beat()
    assert told.startswith("warmup 4/10 steps, at most 1m 00s left  [0/6 trials, 0s, about "), (
        "shared stages tell the time that is left of all"
    )
    assert told.endswith(" left]")
    piped.view.stage("warmup", "")
    assert piped.beat().startswith("starting workers  [0/6 trials, 0s, about ")
    piped.tell("trial_started", trial=0, name="t-0", backbone="squeezenet1_1", params={})
    assert piped.beat().startswith("1 trial running, 0 epochs done  [0/6 trials, 0s, about ")
    piped.tell("trial_started", trial=1, name="t-1", backbone="squeezenet1_1", params={})
    piped.tell("epoch", trial=1, epoch=1, metrics={"seconds/joint": 3.0})
    assert piped.beat().startswith("2 trials running, 1 epoch done  [0/6 trials, 0s, about ")
    for job in shared_jobs(piped.study):
        piped.view.stage(job.name, "")
    for number in range(6):
        piped.tell("trial_started", trial=number, name="t", backbone="squeezenet1_1", params={})
        piped.tell("trial_ended", trial=number, status="complete", reason="")
    assert piped.beat() == "finishing  [6/6 trials, 0s]"


def test_in_a_log_file_reports_of_stages_are_no_lines_and_waiting_is_told_once() -> None:
    piped = Piped()
    for step in (1, 2):
        piped.view.stage("warmup", Report("warmup", step, 10, {}, 1.0))
        piped.view.stage("classifier/net", "another study is computing it")
    assert piped.file.getvalue() == "classifier/net: another study is computing it\n"


def test_a_time_budget_bounds_the_time_left() -> None:
    piped = Piped()
    search = piped.study.search.model_copy(update={"time_budget_s": 90.0})
    piped.view._study = piped.study.model_copy(update={"search": search})
    left = SearchTimeLeft(piped.study, 60, piped.log.state)
    left.expect(shared_jobs(piped.study), 2)
    piped.view.expect(left)
    piped.view.stage("warmup", Report("warmup", 2, 10, {}, 4000.0))
    piped.view.stage("warmup", Report("warmup", 4, 10, {}, 2000.0))
    assert re.search(r"about 1m (30|2\d)s left\]$", piped.beat())


def test_on_a_terminal_a_line_is_broken_between_words() -> None:
    console = Console(width=20, file=io.StringIO(), force_terminal=True)
    progress = ConsoleSearchView(console, parse(Study, read_yaml_text(STUDY, "tiny.yaml")))
    with console.capture() as capture:
        progress.say("a line that is longer than twenty columns")
    lines = Text.from_ansi(capture.get()).plain.splitlines()
    assert [line.rstrip() for line in lines] == ["a line that is", "longer than twenty", "columns"]
