"""Tests of how runs beside the trials, and stops, are shown wherever a study is."""

from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from distill_tune import load_study
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.replay import fold
from distill_tune.records.status import status_info, status_json
from distill_tune.records.trials import top
from distill_tune.study.opening import stored_study
from distill_tune.terminal.event_lines import StudyGoals, event_line, running_extras, standing
from distill_tune.terminal.outcome_view import outcome_view
from distill_tune.terminal.study_tables import status_table
from distill_tune.tuning.outcome import outcome_json, write_best
from distill_tune.tuning.sampling.optuna_journal import journal
from tests.report.made_up import NAME, START, make_study
from tests.report.page_reader import report

CONTROL = f"control-{NAME}-equal_steps"
GOALS = StudyGoals("val/accuracy", 12, 9)


def run(name: str, kind: str, seed: int, trial: int | None, value: float) -> list[dict[str, Any]]:
    arm = {"control": "equal_steps", "finalist": "gan_distillation"}[kind]
    about = {"name": name, "kind": kind, "arm": arm, "seed": seed, "trial": trial}
    about |= {"words": "equal steps without a GAN", "backbone": NAME, "params": {}}
    metrics = {"objective": value, "classifier/objective": 0.5, "val/accuracy": value}
    return [
        {"event": "extra_started", **about},
        {"event": "extra_epoch", "name": name, "epoch": 1, "metrics": metrics},
        {"event": "extra_ended", "name": name, "status": "complete", "reason": ""},
    ]


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    """A study of which the second best trial wins on the further seed, then stopped."""
    found = make_study(tmp_path / "study", 12)
    first, second = top(found.state(), NAME, 2)
    trials = [first.number, second.number]
    events = run(CONTROL, "control", 0, None, 0.6)
    plan = {"backbone": NAME, "trials": trials, "seeds": [0, 10_001]}
    events.append({"event": "finalists", **plan})
    for number, value in zip(trials, (0.3, 0.95), strict=True):
        name = f"finalist-{NAME}-{number:04d}-seed10001"
        events += run(name, "finalist", 10_001, number, value)
    stop = {"rule": "value", "limit": 0.5, "num_trials": 12, "num_over": 12}
    events.append({"event": "search_stopped", **stop, "words": "0.5 is reached"})
    for event in events:
        found.append({"time": START + 1e4, **event})
    found.write_tables()
    return found


def test_the_page_and_its_data(directory: StudyDirectory) -> None:
    winner = top(directory.state(), NAME, 2)[1]
    page, said = report(directory)
    (headline,) = said["headlines"]
    assert headline["trial"] == winner.name
    assert [(one["arm"], one["value"]) for one in headline["controls"]] == [
        ("equal_steps", 0.6),
        ("stage_one", 0.5),
    ]
    text = " ".join(page.text.split())
    assert "equal steps without a GAN 60.00" in text
    assert "stage 1 alone 50.00" in text
    assert f"rial {winner.name} has the highest mean of 2 finalists on 2 seeds" in text
    assert said["finalists"][NAME][0]["values"]["10001"] == 0.95
    assert said["controls"][NAME]["equal_steps"]["value"] == 0.6
    figure = said["figures"][NAME]["best-so-far"]
    assert figure["info"]["controls"] == {"equal steps without a GAN": 0.6}
    assert "equal steps without a GAN: 0.6000" in figure["words"]


def test_the_status(directory: StudyDirectory) -> None:
    info = status_info(directory)
    plain = status_json(info)
    assert plain["controls"][NAME]["equal_steps"]["stage_one"] == 0.5
    assert plain["stop"] == "0.5 is reached (search.stop.value)"
    assert plain["best"][NAME]["name"] == plain["finalists"][NAME][0]["name"]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(status_table(info))
    assert "equal steps without a GAN 0.6000, stage 1 alone 0.5000" in capture.get()
    assert "stopped: 0.5 is reached (search.stop.value)" in capture.get()


def test_the_end_of_a_search(directory: StudyDirectory) -> None:
    study, _ = stored_study(directory)
    state = directory.state()
    write_best(study, directory, state)
    lines = [part for part in outcome_view(study, directory, "stopped") if isinstance(part, str)]
    mean = state.finalists[NAME][0].mean
    assert lines[-1] == (
        f"best {mean:#.4g} (mean of 2 seeds), equal steps without a GAN 0.6000, stage 1 alone "
        "0.5000; few seeds: distill-tune confirm says whether it is real"
    )
    assert "\nstopped after 12 of 12 trials: 0.5 is reached (search.stop.value)" in lines
    said = outcome_json(study, directory, "stopped")
    assert said["stop"]["rule"] == "value"
    assert said["controls"][NAME]["equal_steps"]["value"] == 0.6
    assert "Chosen by finalists" in directory.read_text(f"best/{NAME}.yaml")


def test_from_python(directory: StudyDirectory) -> None:
    study = load_study(directory.root)
    assert study.controls[NAME]["equal_steps"].value == 0.6
    assert study.best[NAME].name == study.finalists[NAME][0].name
    assert len(study.trials_frame()) == 12
    assert set(study.trials_frame()["kind"]) == {"trial"}
    kinds = [row.split(",")[2] for row in directory.read_text("trials.csv").splitlines()]
    assert kinds == ["kind", *["trial"] * 12, "control", "finalist", "finalist"]


def test_the_dashboard_of_optuna(directory: StudyDirectory, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(journal("s", directory.events(), is_running=False))
    storage = JournalStorage(JournalFileBackend(str(path)))
    (study,) = storage.get_all_studies()
    told = storage.get_study_user_attrs(study._study_id)
    assert (told["control/equal_steps"], told["control/stage_one"]) == (0.6, 0.5)
    winner = load_study(directory.root).finalists[NAME][0]
    assert told[f"finalist/{winner.name}"] == winner.mean
    assert len(storage.get_all_trials(study._study_id)) == 12


def test_a_line_for_each_event_and_what_runs() -> None:
    log = [{"time": 1.0, **event} for event in run(CONTROL, "control", 0, None, 0.6)]
    running = fold(log[:2])
    assert running_extras(running, GOALS) == [f"{CONTROL}: epoch 1/9"]
    assert standing(running, GOALS) == ["0/12 trials", f"{CONTROL} 0.6000"]
    assert [event_line(event, fold(log), GOALS) for event in log] == [
        f"{CONTROL}: started",
        f"{CONTROL}: epoch 1/9  val/accuracy 0.6000",
        f"{CONTROL}: complete  best 0.6000",
    ]
    stop: dict[str, Any] = {"rule": "value", "limit": 0.5, "words": "w", "num_trials": 3}
    event = {"event": "search_stopped", "time": 1.0, **stop, "num_over": 1}
    assert event_line(event, fold([event]), GOALS) == "stopping: w (search.stop.value)"
