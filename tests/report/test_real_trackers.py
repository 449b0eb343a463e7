"""Following of a study to the real MLflow and the real W&B, if they are installed."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.report.made_up import make_study
from tests.report.test_following import send

pytestmark = pytest.mark.storm


def require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'distill-tune[{package}]'")


def test_mlflow_with_its_sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("mlflow")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    directory = make_study(tmp_path / "study", 6)
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    assert send(directory, f"mlflow={uri}").num_runs == 6
    for memory in (None, str(tmp_path / "forgotten")):
        send(directory, f"mlflow={uri}", memory=memory)
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("study")
        assert experiment is not None
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
        trials = directory.state().trials.values()
        assert set(runs) == {trial.name for trial in trials}
        for trial in trials:
            run = runs[trial.name]
            history = client.get_metric_history(run.info.run_id, "val/accuracy")
            values = [(one.step, one.value) for one in history]
            assert sorted(values) == [(e, m["val/accuracy"]) for e, m in trial.history.items()]
            assert run.info.status == ("FAILED" if trial.status == "failed" else "FINISHED")
            assert run.data.tags["distill_tune.state"] == trial.status


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    directory = make_study(tmp_path / "study", 3)
    assert send(directory, "wandb").num_runs == 3
    found = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(found) == 3
    names = {trial.name for trial in directory.state().trials.values()}
    assert {path.stem.partition("-")[2].partition("-")[2] for path in found} == names
    assert send(directory, "wandb").num_runs == 0
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 3
    memory = json.loads(next((tmp_path / "study/follow").glob("*.json")).read_text())
    assert {end for _, end in memory["runs"].values()} <= {"complete", "pruned", "failed"}
