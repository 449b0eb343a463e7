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
from distill_tune.records.trials import top, top_of_one_seed
from distill_tune.report.comparison.findings import comparison
from distill_tune.report.comparison.tables import comparison_tables
from distill_tune.report.following.notices import notices
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
SESSION_END = {"event": "session_ended", "time": START + 2e4, "status": "stopped"}


def run(name: str, kind: str, seed: int, trial: int | None, value: float) -> list[dict[str, Any]]:
    arm = {"control": "equal_steps", "finalist": "gan_distillation"}[kind]
    about = {"name": name, "kind": kind, "arm": arm, "seed": seed, "trial": trial}
    about |= {"words": "equal steps without a GAN", "backbone": NAME, "params": {}}
    metrics = {"objective": value, "classifier/objective": 0.5, "val/accuracy": value}
    metrics["seconds/joint"] = 90.0
    return [
        {"event": "extra_started", **about},
        {"event": "extra_epoch", "name": name, "epoch": 1, "metrics": metrics},
        {"event": "extra_ended", "name": name, "status": "complete", "reason": ""},
    ]


@pytest.fixture
def directory(tmp_path: Path) -> StudyDirectory:
    """A study of which the second best trial wins on the further seed, then stopped."""
    found = make_study(tmp_path / "study", 12)
    first, second = top_of_one_seed(found.state(), NAME, 2)
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
    first, winner = top_of_one_seed(directory.state(), NAME, 2)
    assert winner.value is not None
    page, said = report(directory)
    (headline,) = said["headlines"]
    mean = 0.5 * (winner.value + 0.95)
    assert (headline["trial"], headline["value"]) == (winner.name, mean)
    assert headline["spread"] == pytest.approx((0.95 - winner.value) / 2**0.5)
    assert headline["origin"] == "mean of 2 seeds"
    shown = f"{100 * mean:.2f}\u202f% ± {100 * headline['spread']:.2f}"
    assert [(one["arm"], one["value"]) for one in headline["controls"]] == [
        ("equal_steps", 0.6),
        ("stage_one", 0.5),
    ]
    text = " ".join(page.text.split())
    assert "equal steps without a GAN 60.00" in text
    assert "stage 1 alone 50.00" in text
    assert f"{said['computed']['total']:.3g} core-hours (controls 0.05" in text
    assert f"{shown} unconfirmed" in page.text
    assert f"of trial {winner.name}, mean of 2 seeds, chosen among 2 finalists" in text
    assert f"the first seed alone would have chosen {first.name} ({first.value:#.4g})" in text
    assert f"rial {winner.name} has the highest mean of 2 finalists on 2 seeds" in text
    assert said["finalists"][NAME][0]["values"]["10001"] == 0.95
    assert said["controls"][NAME]["equal_steps"]["value"] == 0.6
    figure = said["figures"][NAME]["best-so-far"]
    assert "The best validation accuracy on the first seed, " in figure["words"]
    assert " core-hours, without controls and finalists." in figure["words"]
    assert figure["info"]["controls"] == {"equal steps without a GAN": 0.6}
    assert "equal steps without a GAN: 0.6000" in figure["words"]


def test_the_status(directory: StudyDirectory) -> None:
    info = status_info(directory)
    plain = status_json(info)
    assert plain["controls"][NAME]["equal_steps"]["stage_one"] == 0.5
    assert plain["stop"] == "0.5 is reached (search.stop.value)"
    best, finalist = plain["best"][NAME], plain["finalists"][NAME][0]
    assert best["name"] == finalist["name"]
    assert (best["value"], best["spread"]) == (finalist["mean"], finalist["spread"])
    assert (best["num_seeds"], best["first_seed_value"]) == (2, finalist["values"]["0"])
    assert best["first_seed_choice"] == plain["finalists"][NAME][1]["name"]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(status_table(info))
    assert "equal steps without a GAN 0.6000, stage 1 alone 0.5000" in capture.get()
    assert "stopped: 0.5 is reached (search.stop.value)" in capture.get()
    # Two cores for each run: 90 s of the control, and of each finalist.
    computed = plain["computed"]
    assert (computed["unit"], computed["controls"], computed["finalists"]) == (
        "core-hour",
        pytest.approx(0.05),
        pytest.approx(0.1),
    )
    spent = f"{computed['total']:.3g} core-hours (controls 0.05, finalists 0.1)"
    assert f"{spent} of computing" in [line.strip() for line in capture.get().splitlines()]
    words = f"{finalist['mean']:#.4g} ± {finalist['spread']:#.2g}"
    row = [NAME, str(best["number"]), *words.split(), "2"]
    assert row in [line.split()[:6] for line in capture.get().splitlines()]


def test_the_end_of_a_search(directory: StudyDirectory) -> None:
    study, _ = stored_study(directory)
    state = directory.state()
    write_best(study, directory, state)
    lines = [part for part in outcome_view(study, directory, "stopped") if isinstance(part, str)]
    winner = state.finalists[NAME][0]
    mean = f"{winner.mean:#.4g} ± {winner.spread:#.2g} (mean of 2 seeds)"
    assert standing(state, GOALS)[1] == f"best {winner.name} {mean}"
    assert lines[-1] == (
        f"best {mean}, equal steps without a GAN 0.6000, stage 1 alone "
        "0.5000; few seeds: distill-tune confirm says whether it is real"
    )
    assert "\nstopped after 12 of 12 trials: 0.5 is reached (search.stop.value)" in lines
    said = outcome_json(study, directory, "stopped")
    assert said["stop"]["rule"] == "value"
    assert said["controls"][NAME]["equal_steps"]["value"] == 0.6
    assert said["best"][NAME]["value"] == winner.mean
    assert said["best"][NAME]["spread"] == winner.spread
    text = directory.read_text(f"best/{NAME}.yaml")
    assert f"val/accuracy {mean} on the validation split" in text
    assert "Chosen by finalists" in text
    end = notices("s", [*directory.events(), SESSION_END], is_running=False)[-1]
    assert end.text.endswith(f", best {winner.name}: accuracy {mean}")
    assert end.fields["best"][NAME]["value"] == winner.mean


def test_from_python(directory: StudyDirectory) -> None:
    study = load_study(directory.root)
    assert study.controls[NAME]["equal_steps"].value == 0.6
    best, first = study.best[NAME], study.finalists[NAME][0]
    assert (best.name, best.value, best.spread) == (first.name, first.mean, first.spread)
    assert (best.num_seeds, best.first_seed_choice) == (2, study.finalists[NAME][1].name)
    assert best.trial.value == first.values[0]
    assert "(mean of 2 seeds)" in repr(study)
    assert len(study.trials_frame()) == 12
    assert set(study.trials_frame()["kind"]) == {"trial"}
    kinds = [row.split(",")[2] for row in directory.read_text("trials.csv").splitlines()]
    assert kinds == ["kind", *["trial"] * 12, "control", "finalist", "finalist"]


def test_a_comparison(directory: StudyDirectory, tmp_path: Path) -> None:
    other = make_study(tmp_path / "other", 12)
    found = comparison([directory.root, other.root])
    winner = directory.state().finalists[NAME][0]
    assert (found.backbones[0].value, found.backbones[0].spread) == (winner.mean, winner.spread)
    assert found.backbones[1].origin == ""
    assert found.backbones[0].hours == status_json(status_info(directory))["computed"]["total"]
    assert found.backbones[0].hours == pytest.approx(found.backbones[1].hours + 0.15)
    head, first, second = comparison_tables(found)[0].rows
    assert head[2:4] == ["best accuracy", "seeds"]
    assert first[2:4] == [f"{winner.mean:.4f} ± {winner.spread:.4f}", "2"]
    assert second[3] == "1"
    assert any("that of the first seed" in remark for remark in found.remarks)


def test_what_is_confirmed_and_passed_on_is_the_winner(directory: StudyDirectory) -> None:
    state = directory.state()
    ranked = [one.trial for one in state.finalists[NAME]]
    assert [trial.number for trial in top(state, NAME, 2)] == ranked
    assert len({trial.number for trial in top(state, NAME, 12)}) == len(top(state, NAME, 12))


def test_the_dashboard_of_optuna(directory: StudyDirectory, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(journal("s", directory.events(), is_running=False))
    storage = JournalStorage(JournalFileBackend(str(path)))
    (study,) = storage.get_all_studies()
    told = storage.get_study_user_attrs(study._study_id)
    assert (told["control/equal_steps"], told["control/stage_one"]) == (0.6, 0.5)
    winner = load_study(directory.root).finalists[NAME][0]
    assert told[f"finalist/{winner.name}"] == winner.mean
    assert (told["best/trial"], told["best/value"]) == (winner.name, winner.mean)
    assert (told["best/spread"], told["best/num_seeds"]) == (winner.spread, 2)
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
