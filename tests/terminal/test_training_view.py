"""What a terminal and a log file show of a training, and how long they say that it takes."""

import io

from rich.console import Console

from distill_tune.distill.trial import Report
from distill_tune.interfaces import Metrics, Stage
from distill_tune.terminal.training_view import Pace, TrainingView


def report(stage: Stage, step: int, total: int, seconds: float, **metrics: float) -> Report:
    named: Metrics = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return Report(stage, step, total, named, seconds)


REPORTS = [
    report("classifier", 1, 3, 2, val_accuracy=0.5),
    report("classifier", 2, 3, 4, val_accuracy=0.625),
    report("classifier", 3, 3, 3, val_accuracy=0.75),
    report("warmup", 50, 600, 10),
    report("warmup", 100, 600, 20, synthetic_agreement=0.8399),
    report("joint", 1, 5, 60, val_accuracy=0.8125),
]


def test_the_time_left_follows_from_the_stages_own_reports() -> None:
    pace = Pace()
    assert [pace.seconds_left(one) for one in REPORTS] == [4, 3, 0, 110, 150, 240]


def test_a_training_that_goes_on_knows_its_pace_once_it_has_seen_some_steps() -> None:
    pace = Pace()
    assert pace.seconds_left(report("warmup", 300, 600, 5)) is None
    assert pace.seconds_left(report("warmup", 350, 600, 10)) == 50
    assert Pace().seconds_left(report("joint", 4, 5, 60)) == 60


def shown(*, is_terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=is_terminal, width=80, color_system=None, highlight=False
    )
    with TrainingView(console) as view:
        view.say("warning: [brackets] stay")
        for one in REPORTS:
            view.listen(one)
    return stream.getvalue()


def test_a_log_file_has_a_line_a_report() -> None:
    assert shown(is_terminal=False).splitlines() == [
        "warning: [brackets] stay",
        "classifier: 1/3  val/accuracy 0.5000  about 4s left of this stage",
        "classifier: 2/3  val/accuracy 0.6250  about 3s left of this stage",
        "classifier: 3/3  val/accuracy 0.7500",
        "warmup: 50/600  at most 1m 50s left of this stage",
        "warmup: 100/600  agreement 0.83  at most 2m 30s left of this stage",
        "joint: 1/5  val/accuracy 0.8125  about 4m 00s left of this stage",
    ]


def test_a_terminal_keeps_a_bar_for_every_stage_within_80_columns() -> None:
    text = shown(is_terminal=True)
    last = [line.rstrip() for line in text.splitlines() if " 1/5 " in line or "/600 " in line][-2:]
    assert "warning: [brackets] stay" in text
    assert "classifier" in text
    assert last[0].endswith("100/600 agreement 0.83  at most 2m 30s left")
    assert last[1].endswith("1/5 val/accuracy 0.8125  about 4m 00s left")
    assert all(len(line) <= 80 for line in text.splitlines() if "\x1b" not in line)
