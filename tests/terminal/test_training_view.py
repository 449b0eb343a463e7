"""What a terminal and a log file show of a training, and how long they say that it takes."""

import io

from rich.console import Console

from distill_tune.distill.trial import Report
from distill_tune.interfaces import Metrics, Stage
from distill_tune.study.study import Study
from distill_tune.study.validation import parse, read_yaml_text
from distill_tune.terminal.training_view import TrainingView
from distill_tune.training.run_times import RunTime, UnitTimes
from tests.commands import STUDY


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


def shown(*, is_terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=is_terminal, width=80, color_system=None, highlight=False
    )
    study = parse(Study, read_yaml_text(STUDY, "tiny.yaml"))
    lengths = {"classifier.epochs": 3, "gan.warmup_steps": 600, "joint.epochs": 5}
    config = study.trial_config("squeezenet1_1", lengths)
    with TrainingView(console) as view:
        view.expect(RunTime(config, UnitTimes(num_train=60)))
        view.say("warning: [brackets] stay")
        for one in REPORTS:
            view.listen(one)
    return stream.getvalue()


def test_a_log_file_has_a_line_a_report() -> None:
    assert shown(is_terminal=False).splitlines() == [
        "warning: [brackets] stay",
        "classifier: 1/3  val/accuracy 0.5000  about 4s left of this stage, about 3m 03s in all",
        "classifier: 2/3  val/accuracy 0.6250  about 3s left of this stage, about 4m 32s in all",
        "classifier: 3/3  val/accuracy 0.7500  about 4m 28s left",
        "warmup: 50/600  at most 3m 26s left of this stage, about 4m 10s in all",
        "warmup: 100/600  agreement 0.83  at most 3m 20s left of this stage, about 4m 04s in all",
        "joint: 1/5  val/accuracy 0.8125  about 4m 00s left",
    ]


def test_a_terminal_keeps_a_bar_for_every_stage_within_80_columns() -> None:
    text = shown(is_terminal=True)
    last = [line.rstrip() for line in text.splitlines() if " 1/5 " in line or "/600 " in line][-2:]
    assert "warning: [brackets] stay" in text
    assert "classifier" in text
    assert last[0].endswith("100/600 agreement 0.83  at most 3m 20s left")
    assert last[1].endswith("1/5 val/accuracy 0.8125  about 4m 00s left")
    assert all(len(line) <= 80 for line in text.splitlines() if "\x1b" not in line)


def test_a_silence_is_told_with_the_last_report() -> None:
    stream = io.StringIO()
    view = TrainingView(Console(file=stream, width=80))
    view.beat()
    view.listen(REPORTS[-1])
    view.beat()
    assert stream.getvalue().splitlines() == [
        "starting  0s so far",
        "joint: 1/5  val/accuracy 0.8125",
        "joint: 1/5  val/accuracy 0.8125  0s so far",
    ]
