"""A real search of seconds: a driver that the tests start, kill and start again.

``python tiny_search.py FOLDER`` starts or resumes; it ends by writing FOLDER/summary.json.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_AUTH_MODE": "disabled",
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

import ray
from ray import tune
from ray.tune.experiment import Trial

from distill_tune.search.proposals import PastTrial, SamplerPlan
from distill_tune.search.sampler import SamplerPerBackbone
from distill_tune.search.scheduler import OBJECTIVE, AshaPerBackbone, RungEvent

BACKBONES = ("resnet50", "alexnet")
NUM_TRIALS, MAX_EPOCHS = 12, 6
DIVERGES, RAISES = 4, 5


class Line:
    """A float dimension that decodes to its negative."""

    kind, low, high, log, integer, choices = "uniform", 0.0, 1.0, False, False, ()

    def decode(self, raw: float) -> float:
        return -raw


class TinyTrainable(tune.Trainable):
    """Objective ``(1 - (x - 0.3)^2) * (1 - 0.5^epoch)``; two numbers end badly."""

    def setup(self, config: dict[str, Any]) -> None:
        self.number, self.x = config["number"], -config["params"]["joint.x"]
        self.pause_s = config["pause_s"]

    def step(self) -> dict[str, Any]:
        epoch = self.iteration + 1
        time.sleep(self.pause_s)
        if self.number == RAISES and epoch == 1:
            raise ValueError("on purpose")
        value = (1 - (self.x - 0.3) ** 2) * (1 - 0.5**epoch)
        if self.number == DIVERGES and epoch == 2:
            return {OBJECTIVE: value, "failure": "diverged", "done": True}
        return {OBJECTIVE: value}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "state").write_text(str(self.iteration))

    def load_checkpoint(self, checkpoint: str) -> None:  # type: ignore[override]
        assert (Path(checkpoint) / "state").exists()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


class Recorder(tune.Callback):
    """Appends what happens to FOLDER/events.jsonl."""

    def __init__(self, folder: Path, sampler: SamplerPerBackbone) -> None:
        self.folder, self.sampler = folder, sampler

    def write(self, event: str, trial: Trial, **more: Any) -> None:
        line = {"event": event, "number": trial.config["number"], **more}
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        raw = self.sampler.raw(trial.trial_id)
        self.write("start", trial, raw=raw, backbone=trial.config["backbone"])

    def on_trial_result(  # type: ignore[override]
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any  # noqa: ARG002
    ) -> None:
        if not result.get("failure"):
            self.write("epoch", trial, epoch=result["training_iteration"], value=result[OBJECTIVE])

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        failed = trial.last_result.get("failure")
        whole = trial.last_result["training_iteration"] >= MAX_EPOCHS
        self.write("end", trial, status="failed" if failed else "complete" if whole else "pruned")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        self.write("end", trial, status="failed")


def read_log(folder: Path) -> list[dict[str, Any]]:
    log = folder / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def load_events(folder: Path) -> Iterable[RungEvent]:
    for row in read_log(folder):
        if row["event"] == "epoch":
            backbone = BACKBONES[row["number"] % 2]
            yield RungEvent(row["number"], backbone, row["epoch"], row["value"])


def load_trials(folder: Path) -> Iterable[PastTrial]:
    trials: dict[int, dict[str, Any]] = {}
    for row in read_log(folder):
        number = row["number"]
        if row["event"] == "start":
            fresh = {"backbone": row["backbone"], "raw": row["raw"], "intermediate": {}}
            trials.setdefault(number, {"number": number, **fresh})["status"] = "running"
        elif row["event"] == "epoch":
            trials[number]["intermediate"][row["epoch"]] = row["value"]
        else:
            values = trials[number]["intermediate"].values()
            trials[number] |= {"status": row["status"], "value": max(values, default=None)}
    return [PastTrial(**trial) for trial in trials.values()]


def new_tuner(folder: Path, concurrent: int, pause_s: float) -> tuple[tune.Tuner, Any, Any]:
    plan = SamplerPlan(
        backbones=BACKBONES,
        dimensions={"joint.x": Line()},  # type: ignore[dict-item]
        num_trials=NUM_TRIALS,
        max_epochs=MAX_EPOCHS,
        num_startup_trials=2,
        points_to_evaluate=({"joint.x": 0.95},),
    )
    sampler = SamplerPerBackbone(plan, load_trials=partial(load_trials, folder))
    scheduler = AshaPerBackbone(
        min_epochs=1,
        max_epochs=MAX_EPOCHS,
        reduction_factor=2,
        load_events=partial(load_events, folder),
    )
    tuner = tune.Tuner(
        tune.with_resources(TinyTrainable, {"cpu": 1}),
        param_space={"pause_s": pause_s},
        tune_config=tune.TuneConfig(
            search_alg=sampler,
            scheduler=scheduler,
            num_samples=NUM_TRIALS,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            metric=OBJECTIVE,
            mode="max",
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            callbacks=[Recorder(folder, sampler)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=MAX_EPOCHS),
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    return tuner, sampler, scheduler


def main(folder: Path, concurrent: int, pause_s: float, mode: str) -> None:
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    resume = tune.Tuner.can_restore(str(folder / "ray"))
    if not resume or mode == "rebuild":
        tuner, sampler, scheduler = new_tuner(folder, concurrent, pause_s)
    if resume:
        tuner = tune.Tuner.restore(
            str(folder / "ray"), trainable=tune.with_resources(TinyTrainable, {"cpu": 1})
        )
        config = tuner._local_tuner._tune_config
        sampler, scheduler = config.search_alg, config.scheduler
    results = tuner.fit()
    summary = {
        "num_results": len(results),
        "num_errors": results.num_errors,
        "trials": [(t.number, t.status, t.value, t.raw, sorted(t.intermediate.items())) for t in sampler.history()],
        "rungs": {
            backbone: [(rung.epoch, sorted(rung.verdicts.items())) for rung in scheduler.rungs(backbone)]
            for backbone in BACKBONES
        },
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
