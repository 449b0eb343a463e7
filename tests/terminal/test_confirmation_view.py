"""What the terminal shows of a confirmation while it runs."""

import io

import pytest
from rich.console import Console

from distill_tune.distill.trial import Report
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.confirmation_view import ConsoleConfirmationView
from distill_tune.tuning.time_left import RunsTimeLeft
from tests.commands import STUDY
from tests.terminal.test_search_view import LINE, STAGE

NAMES = [f"resnet50-0007-gan_augmentation-{seed}" for seed in (1000, 1001)]


def viewed(width: int) -> list[str]:
    """Return the lines of the live view while one of five runs is over and two compute."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    progress = ConsoleConfirmationView(console)
    progress.expect(5)
    for name in NAMES:
        progress.report(name, Report("joint", 3, 40, {}, 1.0))
    progress.stage("resnet50 classifier", Report("classifier", 1, 12, {}, 1.0))
    progress.stage("resnet50 classifier", "")
    progress.finished("resnet50-0007-equal_steps-1000", "test 0.8000")
    with console.capture() as capture:
        console.print(progress._view())
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_each_run_has_a_line_and_leaves_the_bar_its_room(width: int) -> None:
    bar, *runs, last = viewed(width)
    assert "1/5" in bar
    assert "━" * 4 in bar
    assert max(map(len, [bar, *runs])) <= width
    assert [line[:30] for line in runs] == [name[:30] for name in NAMES]
    assert last == ""
    if width >= 80:
        assert [line.rpartition(": ")[2] for line in runs] == ["joint 3/40"] * 2


def test_a_shared_stage_is_told_as_a_search_tells_it() -> None:
    console = Console(width=80, file=io.StringIO())
    ConsoleConfirmationView(console).listen(STAGE)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == f"{LINE}\n"


def test_without_a_terminal_a_run_that_is_over_is_a_line() -> None:
    console = Console(width=80, file=io.StringIO())
    with ConsoleConfirmationView(console) as progress:
        progress.expect(2)
        progress.report(NAMES[0], Report("joint", 3, 40, {}, 1.0))
        progress.finished(NAMES[0], "test 0.8000")
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith(f"{NAMES[0]}: test 0.8000  [1/2 runs")


class Piped:
    """A confirmation of two runs, in which no arm shares a stage, read as a log file."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.view = ConsoleConfirmationView(Console(file=self.file))

    def expect(self) -> None:
        study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
        left = RunsTimeLeft(60)
        for name in NAMES:
            left.expect_run(name, study.trial_config("squeezenet1_1", {}), ["joint"])
        self.view.expect(2, left)

    def beat(self) -> str:
        """Return the line that a silence causes."""
        self.file.truncate(self.file.seek(0))
        self.view.beat()
        return self.file.getvalue().rstrip("\n")


def test_a_silence_is_told_from_the_start_to_the_end() -> None:
    piped = Piped()
    assert piped.beat() == "starting  [0s]"
    piped.expect()
    assert piped.beat() == "starting workers  [0/2 runs, 0s]"
    piped.view.report(NAMES[0], Report("joint", 1, 4, {}, 10.0))
    assert piped.beat() == f"{NAMES[0]} joint 1/4  [0/2 runs, 0s, about 1m 10s left]"
    piped.view.finished(NAMES[0], "test 0.8")
    assert piped.file.getvalue().endswith(f"{NAMES[0]}: test 0.8  [1/2 runs, about 40s left]\n")
    assert piped.beat() == "starting workers  [1/2 runs, 0s, about 40s left]"
    piped.view.finished(NAMES[1], "test 0.8")
    assert piped.beat() == "starting  [2/2 runs, 0s]"
