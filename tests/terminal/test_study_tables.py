"""Status, tables and the best trials, read from the records."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.errors import StudyError
from distill_tune.records.confirm_log import CHOSEN, ENDED, STARTED
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.formatting import duration
from distill_tune.records.status import StageInfo, status_info, status_json
from distill_tune.records.words.metric_names import title
from distill_tune.report.study_records import source
from distill_tune.terminal.confirmation_tables import confirmation_view
from distill_tune.terminal.study_status import current_status, status_data
from distill_tune.terminal.study_tables import (
    final_summary,
    latest_trials,
    status_table,
    trials_table,
)
from tests.confirmation.test_summary import CLEAR
from tests.confirmation.test_summary import log as confirmation_log

PARAMS = {
    "joint.margin": 0.31234,
    "joint.gan_lr": 1.23456e-05,
    "joint.synthetic_ratio": 1.5,
    "joint.hard_threshold": 0.2,
    "classifier.lr": 0.001,
    "gan.lr": 0.0002,
    "gan.kind": "sngan[red]",
    "joint.refresh": 2,
}


def trial(directory: StudyDirectory, number: int, backbone: str, *values: Any) -> None:
    """Record a trial; the last of ``values`` is its outcome, None while it runs."""
    *objectives, status = values
    name = {"trial": number, "name": f"{backbone}-{number:04d}", "backbone": backbone}
    directory.append({"event": "trial_started", **name, "params": PARAMS})
    for epoch, value in enumerate(objectives, start=1):
        metrics = {"objective": value, "seconds/joint": 2.0}
        directory.append({"event": "epoch", "trial": number, "epoch": epoch, "metrics": metrics})
    if status:
        reason = "diverged" if status == "failed" else ""
        end = {"trial": number, "status": status, "reason": reason, "detail": "loss is nan"}
        directory.append({"event": "trial_ended", **end})


def stage(directory: StudyDirectory, name: str, seconds: float, *, cached: bool) -> None:
    times = {"seconds": 0.0 if cached else seconds, "cost_s": seconds}
    event = {"event": "stage", "name": name, "key": f"key of {name}", "cached": cached}
    directory.append({**event, **times, "metrics": {}})


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory(str(tmp_path / "runs/resnet"))
    directory.write_text("study.yaml", "study: resnet\n")
    directory.append({"event": "session_started", "command": "search", "time": time.time() - 60})
    stage(directory, "warmup", 30.0, cached=False)
    stage(directory, "warmup", 30.0, cached=True)
    stage(directory, "classifier/resnet50", 12.0, cached=True)
    for number in (0, 1, 2, 2):
        adopted = {"trial": number, "keys": ["key of warmup", "key of classifier/resnet50"]}
        directory.append({"event": "stages_adopted", **adopted})
    trial(directory, 0, "resnet50", 0.8, 0.9, "complete")
    trial(directory, 1, "resnet50", 0.8, 0.95, "complete")
    trial(directory, 2, "resnet50", 0.99, "pruned")
    trial(directory, 3, "alexnet", float("nan"), "failed")
    trial(directory, 4, "alexnet", 0.7, None)
    return directory


def shown(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(what)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_status_counts_trials_and_names_the_best(directory: StudyDirectory) -> None:
    info = status_info(directory)
    assert (info.study, info.state) == ("resnet", "interrupted")
    assert info.counts == {
        "resnet50": {"complete": 2, "pruned": 1},
        "alexnet": {"failed": 1, "interrupted": 1},
    }
    winners = {name: winner and winner.number for name, winner in info.best.items()}
    assert winners == {"resnet50": 1, "alexnet": 4}
    # The warm-up was computed for this study; its classifier another study had computed.
    assert info.stages == (
        StageInfo("warmup", "key of warmup", 30.0, cached=False, hits=3, saved_s=60.0),
        StageInfo(
            "classifier/resnet50",
            "key of classifier/resnet50",
            12.0,
            cached=True,
            hits=3,
            saved_s=36.0,
        ),
    )
    assert 60 <= info.elapsed_s < 70
    assert info.disk_bytes == sum(f.stat().st_size for f in Path(directory.path()).iterdir())


def test_a_study_runs_exactly_while_its_lock_is_held(directory: StudyDirectory) -> None:
    with directory.lock():
        info = status_info(directory)
        assert info.state == "running"
        assert info.counts["alexnet"] == {"failed": 1, "running": 1}
    assert status_info(directory).state == "interrupted"
    directory.append({"event": "session_ended", "status": "finished"})
    assert status_info(directory).state == "finished"


def test_without_a_lock_a_silent_study_counts_as_interrupted(tmp_path: Path) -> None:
    directory = StudyDirectory(f"memory://{tmp_path.name}/s")
    directory.append({"event": "session_started", "command": "search"})
    assert status_info(directory).state == "running"
    long_ago = {"event": "session_started", "command": "search", "time": time.time() - 3600}
    silent = StudyDirectory(f"memory://{tmp_path.name}/t")
    silent.append(long_ago)
    assert status_info(silent).state == "interrupted"


def test_the_time_since_the_last_event_counts_while_a_search_runs(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.append({"event": "session_started", "command": "search", "time": time.time() - 60})
    assert status_info(directory).elapsed_s == 0
    with directory.lock():
        assert 60 <= status_info(directory).elapsed_s < 70


@pytest.mark.parametrize("end", ["session_ended", None])
def test_a_confirmation_is_no_search(directory: StudyDirectory, end: str | None) -> None:
    now = time.time()
    if end:
        directory.append({"event": end, "status": "finished", "time": now - 50})
    before = status_info(directory)
    start = {"event": STARTED, "command": "confirm", "reading": 1, "plan": {}, "seeds": [1000]}
    directory.append({**start, "time": now + 3600})
    directory.append({"event": "warning", "text": "hot", "time": now + 7200})
    with directory.lock():
        info = status_info(directory)
        found = source(directory)
    assert (info.state, info.elapsed_s) == ("running", before.elapsed_s)
    # Nobody trains the trial that the search left open.
    assert info.counts["alexnet"] == {"failed": 1, "interrupted": 1}
    assert found.outcome(found.state.trials[4]) == "interrupted"


def test_a_status_says_where_the_confirmation_stands(directory: StudyDirectory) -> None:
    assert status_data(directory)["confirmation"] is None
    begun, *events = confirmation_log({"resnet50": CLEAR}, arms=list(CLEAR))
    directory.append(begun)
    stage(directory, "classifier/resnet50 seed=1000", 15.0, cached=False)
    with directory.lock():
        assert "\nconfirmation: running\n" in shown(current_status(directory))
    for event in events[:5]:
        directory.append(event)
    with directory.lock():
        text, data = shown(current_status(directory)), status_data(directory)
    assert "\nconfirmation: 0 of 5 seeds, 2 of 30 runs\n" in text
    assert "seed=1000" not in text
    assert "classifier/resnet50 " in text
    assert data["confirmation"]["state"] == "running"
    assert data["confirmation"]["progress"]["runs_done"] == 2
    text = shown(current_status(directory), 200)
    assert "\nconfirmation: unfinished, 0 of 5 seeds, 2 of 30 runs\n" in text
    for event in [*events[5:], {"event": ENDED, "reading": 1}]:
        directory.append(event)
    text = shown(current_status(directory), 400)
    found = confirmation(directory.events())
    assert found is not None
    (one,) = found.backbones
    assert one.verdict.startswith("GAN distillation helps against the baseline")
    assert f"\nconfirmation: finished\nresnet50: {one.verdict}.\n" in text
    assert f"resnet50: {one.verdict}." in "".join(
        shown(part, 400) for part in confirmation_view(found)
    )
    assert status_data(directory)["confirmation"] == {
        "state": "finished",
        "progress": {"seeds_done": 5, "seeds": 5, "runs_done": 30, "runs": 30, "command": ""},
        "verdicts": {"resnet50": one.verdict},
    }


def test_a_confirmation_that_makes_no_sense_leaves_the_status(directory: StudyDirectory) -> None:
    directory.append({"event": STARTED})
    directory.append({"event": CHOSEN, "backbone": ["a"]})
    assert "\nconfirmation: unfinished\n" in shown(current_status(directory))


def test_a_status_is_plain_json(directory: StudyDirectory) -> None:
    plain = json.loads(json.dumps(status_json(status_info(directory)), allow_nan=False))
    assert plain["best"]["resnet50"]["params"] == PARAMS
    assert plain["best"]["resnet50"]["value"] == 0.95
    assert plain["stages"][0] == {
        "name": "warmup",
        "key": "key of warmup",
        "seconds": 30.0,
        "cached": False,
        "hits": 3,
        "saved_s": 60.0,
        # The log is of a version that measured no generators.
        "steps": 0,
        "max_steps": None,
        "curve": [],
        "fitness": None,
    }


def measured(directory: StudyDirectory, agreement: float) -> None:
    """Record a warm-up of 750 steps, half of them before the generator followed its classes."""
    curve = [
        {"step": 375, "agreement": 0.1, "diversity": 0.9},
        {"step": 750, "agreement": agreement, "diversity": 0.8125},
    ]
    event = {"event": "stage", "name": "warmup lr=0.0002", "key": "m", "cached": True}
    times = {"seconds": 0.0, "cost_s": 52.0, "metrics": {}}
    directory.append({**event, **times, "steps": 750, "max_steps": 2000, "curve": curve})


@pytest.mark.parametrize(("agreement", "fitness"), [(0.96, "fit"), (0.5, "not fit")])
def test_a_status_tells_how_fit_a_generator_is(
    directory: StudyDirectory, agreement: float, fitness: str
) -> None:
    measured(directory, agreement)
    info = status_info(directory)
    plain = json.loads(json.dumps(status_json(info), allow_nan=False))["stages"][-1]
    assert (plain["steps"], plain["max_steps"], plain["fitness"]) == (750, 2000, fitness)
    assert plain["curve"][1] == {"step": 750, "agreement": agreement, "diversity": 0.8125}
    text = shown(status_table(info))
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    assert "750 steps (auto)" in words
    assert f"{agreement:.2f}" in words


def test_a_status_without_a_study_is_a_study_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study here"):
        status_info(StudyDirectory(str(tmp_path)))


def test_an_empty_study_has_a_status(tmp_path: Path) -> None:
    directory = StudyDirectory(str(tmp_path))
    directory.write_text("study.yaml", "")
    info = status_info(directory)
    assert (info.state, info.counts, info.best) == ("new", {}, {})
    assert "new" in shown(status_table(info))
    assert "value" in shown(final_summary(directory.state()))


def test_a_status_table_says_it_all_in_eighty_columns(directory: StudyDirectory) -> None:
    directory.append({"event": "warning", "text": "collapsed [twice]"})
    text = shown(status_table(status_info(directory)))
    for part in ("resnet", "interrupted", "0.9500", "found ready", "4 (so far)", "1m 00s"):
        assert part in text
    assert "warning: collapsed [twice]" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("metric", ["val/balanced_accuracy", "val/kappa", "-val/loss"])
def test_values_are_named_by_their_metric(directory: StudyDirectory, metric: str) -> None:
    session = {"event": "session_started", "command": "resume"}
    directory.append({**session, "study": {"search": {"metric": metric}}})
    info, state = status_info(directory), directory.state()
    assert status_json(info)["metric"] == metric
    for table in (status_table(info), final_summary(state), trials_table(latest_trials(state, 2))):
        text = shown(table)
        assert title(metric) in text
        assert "  value  " not in text
        assert max(map(len, text.splitlines())) <= 80
    short = shown(trials_table(state, is_short=True))
    assert title(metric) in short
    assert max(map(len, short.splitlines())) <= 80


def test_a_log_without_a_metric_has_values(directory: StudyDirectory) -> None:
    directory.append({"event": "session_started", "command": "resume", "study": {"search": 3}})
    assert status_json(status_info(directory))["metric"] == ""
    assert "  value  " in shown(status_table(status_info(directory)))


def test_params_are_short_and_unmistakable(directory: StudyDirectory) -> None:
    text = shown(trials_table(directory.state()), width=200)
    assert "margin=0.312 gan_lr=1.23e-05 synthetic_ratio=1.5 hard_threshold=0.2" in text
    assert "classifier.lr=0.001 gan.lr=0.0002 kind=sngan[red] refresh=2" in text
    assert "failed (diverged)" in text


def test_a_trials_table_fits_eighty_columns(directory: StudyDirectory) -> None:
    text = shown(trials_table(directory.state()))
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in ("0.9900", "alexnet", "refresh=2"))


def test_trials_are_listed_by_number_or_best_first(directory: StudyDirectory) -> None:
    def values(text: str) -> list[str]:
        return [word for word in text.split() if word.startswith("0.") and len(word) == 6]

    state = directory.state()
    assert values(shown(trials_table(state))) == ["0.9000", "0.9500", "0.9900", "0.7000"]
    ordered = values(shown(trials_table(state, sort_by_value=True)))
    assert ordered == ["0.9900", "0.9500", "0.9000", "0.7000"]
    assert values(shown(trials_table(state, backbone="alexnet"))) == ["0.7000"]
    summary = values(shown(final_summary(state)))
    assert "interrupted" in shown(final_summary(state))
    assert "running" in shown(trials_table(state))
    assert "running" not in shown(trials_table(state, is_running=False))
    assert summary == ["0.9900", "0.9500", "0.9000", "0.7000", "0.9500", "0.7000"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.6, "1m 00s"), (185, "3m 05s"), (7620, "2h 07m")]
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_reading_a_study_needs_neither_torch_nor_ray() -> None:
    code = "import distill_tune.terminal.study_tables, sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = set(result.stdout.decode().split())
    assert "distill_tune.records.trials" in loaded
    assert not loaded & {"torch", "ray", "optuna", "pydantic", "rich", "fsspec", "numpy"}
