"""A session of scripted trials, and a record of all that Ray asks and tells the driver's side."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from distill_tune.records.trials import OBJECTIVE
from distill_tune.tuning.scheduler import MODE
from tests.tuning.scripted import Script, ScriptedTrial, pickled_error

SHARE = {"CPU": 0.5}
PATIENCE_S = 120.0


class Call(NamedTuple):
    """Something that Ray asked or told the driver's side of a search.

    Attributes:
        of: ``sampler``, ``scheduler`` or ``callback``.
        name: The method, without ``on_trial_``.
        number: The trial.
        facts: What it was told.
    """

    of: str
    name: str
    number: int
    facts: dict[str, Any]


def folder_name(trial: RayTrial) -> str:
    """Return the name that a trial's folder is to have."""
    return f"scripted-{trial.config['number']:04d}"


class Record:
    """Every call of one search, in their order; holds what cannot be pickled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, list[Call]()
        self.unpicklable = threading.Lock()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Ray stores sampler and scheduler; what it stores is not looked at.
        return object, ()

    def add(self, of: str, name: str, number: int, **facts: Any) -> None:
        self.calls.append(Call(of, name, number, facts))

    def order(self, number: int) -> list[str]:
        """Return what was told of a trial, to whom."""
        return [f"{call.of} {call.name}" for call in self.calls if call.number == number]

    def one(self, of: str, name: str, number: int) -> dict[str, Any]:
        """Return what was told in the only such call."""
        (facts,) = [call.facts for call in self.calls if call[:3] == (of, name, number)]
        return facts

    def results(self, number: int) -> dict[str, list[dict[str, Any]]]:
        """Return the results of a trial that each of the three was told."""
        found: dict[str, list[dict[str, Any]]] = {}
        for call in self.calls:
            if (call.name, call.number) == ("result", number):
                found.setdefault(call.of, []).append(call.facts["result"])
        return found

    def of_worker(self, number: int | None = None) -> list[dict[str, Any]]:
        """Return the calls of a trial's worker, or of all workers."""
        rows = [json.loads(line) for line in (self.folder / "calls.jsonl").open()]
        return [row for row in rows if number in (None, row["number"])]


class RecordingSampler(Searcher):
    """Deals out scripts."""

    def __init__(self, record: Record, scripts: list[Script]) -> None:
        super().__init__(metric=OBJECTIVE, mode=MODE)
        self._record, self._scripts = record, scripts
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        number = len(self._numbers)
        if number == len(self._scripts):
            self._record.add("sampler", "finished", number)
            return self.FINISHED
        self._numbers[trial_id] = number
        self._record.add("sampler", "suggest", number)
        return {"number": number, "script": tuple(self._scripts[number])}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._record.add("sampler", "result", self._numbers[trial_id], result=dict(result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self._numbers[trial_id]
        self._record.add("sampler", "complete", number, result=dict(result or {}), error=error)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError(f"{checkpoint_path}: Ray's own snapshot is not to be read")


class RecordingScheduler(FIFOScheduler):
    """Stops the trials whose scripts say ``stopped``."""

    metric = OBJECTIVE

    def __init__(self, record: Record) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._record = record

    def set_search_properties(self, *_given: object, **_spec: object) -> bool:
        return True

    def on_trial_add(self, tune_controller: object, trial: RayTrial) -> None:  # noqa: ARG002
        self._record.add("scheduler", "add", trial.config["number"])

    def on_trial_result(
        self,
        tune_controller: object,  # noqa: ARG002
        trial: RayTrial,
        result: dict[str, Any],
    ) -> str:
        self._record.add("scheduler", "result", trial.config["number"], result=dict(result))
        script = Script(*trial.config["script"])
        if script.ends == "is paused" and result["epoch"] == script.first:
            return self.PAUSE
        stops = script.ends == "stopped" and result["epoch"] == script.last
        return self.STOP if stops else self.CONTINUE

    def on_trial_complete(
        self,
        tune_controller: object,  # noqa: ARG002
        trial: RayTrial,
        result: dict[str, Any],
    ) -> None:
        self._record.add("scheduler", "complete", trial.config["number"], result=dict(result))


class RecordingCallback(tune.Callback):
    """Notes what it is told."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        return tune.Callback, ()

    def _add(self, name: str, trial: RayTrial, **facts: Any) -> None:
        self._record.add("callback", name, trial.config["number"], trial=trial, **facts)

    def on_trial_start(self, **info: Any) -> None:  # type: ignore[override]
        self._add("start", info["trial"])

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        self._add("result", info["trial"], result=dict(info["result"]))
        number, epoch = info["trial"].config["number"], info["result"]["epoch"]
        (self._record.folder / f"told-{number}-{epoch}").touch()
        if (
            Script(*info["trial"].config["script"]).ends == "terminates"
            and info["result"]["epoch"] == 1
        ):
            os.kill(os.getpid(), signal.SIGTERM)

    def on_trial_save(self, **info: Any) -> None:  # type: ignore[override]
        self._add("save", info["trial"])

    def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]
        self._add("complete", info["trial"], result=dict(info["trial"].last_result))

    def on_trial_error(self, **info: Any) -> None:  # type: ignore[override]
        self._add("error", info["trial"], error=pickled_error(info["trial"]))

    def on_trial_recover(self, **info: Any) -> None:  # type: ignore[override]
        self._add("recover", info["trial"], error=pickled_error(info["trial"]))


@contextmanager
def patience() -> Iterator[None]:
    """Interrupt a search without an end; give Ctrl-C back to pytest afterwards."""
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(PATIENCE_S, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def search(
    folder: Path, scripts: list[Script], *, at_once: int = 1, max_failures: int = 0
) -> Record:
    """Run a session as ours are run; Ray has to be there."""
    record = Record(folder)
    trainable = tune.with_parameters(ScriptedTrial, notes=str(folder))
    tuner = tune.Tuner(
        tune.with_resources(trainable, SHARE),
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode=MODE,
            search_alg=RecordingSampler(record, scripts),
            scheduler=RecordingScheduler(record),
            num_samples=len(scripts) + 9,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_name_creator=folder_name,
            trial_dirname_creator=folder_name,
        ),
        run_config=tune.RunConfig(
            name="session-0001",
            storage_path=str(folder),
            callbacks=[RecordingCallback(record)],
            failure_config=tune.FailureConfig(max_failures=max_failures),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False, num_to_keep=2
            ),
            verbose=0,
        ),
    )
    with patience():
        tuner.fit()
    return record
