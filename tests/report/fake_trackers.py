"""Trackers in memory, with the calls of MLflow and W&B that are used."""

import itertools
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest


class Metric(NamedTuple):
    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    key: str
    value: str


class FakeRun:
    """A run of MLflow."""

    def __init__(self, run_id: str, name: str, tags: dict[str, str]) -> None:
        self.info = SimpleNamespace(run_id=run_id, status="RUNNING", end_time=None)
        self.name, self.tags = name, tags
        self.history: list[Metric] = []
        self.params: dict[str, str] = {}

    @property
    def data(self) -> SimpleNamespace:
        metrics = {one.key: one.value for one in self.history}
        return SimpleNamespace(metrics=metrics, tags=dict(self.tags))


class FakeMlflow:
    """A client of MLflow; ``failures`` calls fail before one succeeds."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.experiments: dict[str, str] = {}
        self.failures = 0

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        found = self.experiments.get(name)
        return SimpleNamespace(experiment_id=found) if found else None

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, str(len(self.experiments) + 1))

    def search_runs(self, experiments: list[str], filter_string: str) -> list[FakeRun]:
        assert set(experiments) <= set(self.experiments.values())
        match = re.fullmatch(r"tags\.`(.*)` = '(.*)'", filter_string)
        assert match
        return [run for run in self.runs.values() if run.tags.get(match[1]) == match[2]]

    def create_run(
        self, experiment: str, start_time: int, tags: dict[str, str], run_name: str
    ) -> FakeRun:
        assert experiment in self.experiments.values()
        assert start_time > 1e12
        run_id = str(len(self.runs))
        self.runs[run_id] = FakeRun(run_id, run_name, dict(tags))
        return self.runs[run_id]

    def get_run(self, run_id: str) -> FakeRun:
        return self.runs[run_id]

    def get_metric_history(self, run_id: str, name: str) -> list[Metric]:
        return [one for one in self.runs[run_id].history if one.key == name]

    def log_batch(
        self, run_id: str, metrics: list[Metric] | None = None, params: list[Param] | None = None
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the server is away")
        self.runs[run_id].history += metrics or []
        self.runs[run_id].params |= {one.key: one.value for one in params or ()}

    def set_tag(self, run_id: str, name: str, text: str) -> None:
        self.runs[run_id].tags[name] = text

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].info.status = status

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.runs[run_id].info.status, self.runs[run_id].info.end_time = status, end_time

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> "FakeMlflow":
        """Let ``import mlflow`` find a module whose client is the one returned."""
        client = cls()
        module: Any = ModuleType("mlflow")
        module.entities = SimpleNamespace(Metric=Metric, Param=Param)
        module.get_tracking_uri = lambda: "fake"
        module.MlflowClient = lambda **_: client
        monkeypatch.setitem(sys.modules, "mlflow", module)
        return client


class FakeWandb:
    """W&B: what ``init`` was called with, and the runs, by id."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.inits: list[dict[str, Any]] = []
        self.count = itertools.count()

    def init(self, **options: Any) -> Any:
        self.inits.append(options)
        run = self.runs.get(options["id"])
        if run is None:
            run = self.runs[options["id"]] = SimpleNamespace(
                step=0, rows=[], summary={}, exit_codes=[], config=options["config"]
            )

        def log(metrics: dict[str, float], step: int) -> None:
            assert step >= run.step, "W&B drops a step that it has"
            run.rows.append((step, metrics))
            run.step = step + 1

        def finish(exit_code: int | None = None) -> None:
            run.exit_codes.append(exit_code)

        run.log, run.finish = log, finish
        return run

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> "FakeWandb":
        """Let ``import wandb`` find a module whose ``init`` is the one of the object returned."""
        found = cls()
        module: Any = ModuleType("wandb")
        module.init, module.Settings = found.init, dict
        monkeypatch.setitem(sys.modules, "wandb", module)
        return found
