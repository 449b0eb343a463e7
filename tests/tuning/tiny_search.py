"""A real search of seconds through Ray: a driver that the tests start, stop, kill and go on with.

``python tiny_search.py FOLDER NAME SIGNAL LINES``: NAME is that of a new experiment of Ray's,
rebuilt from our log, or ``imitate`` (without Ray); after LINES lines in the log it sends itself
SIGNAL. Coming to its end, it writes FOLDER/summary.json.
"""

import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ |= {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

import ray
from ray import tune

from distill_tune.interfaces import INFEASIBLE
from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.rungs import RungEvent
from distill_tune.study.space import Uniform
from distill_tune.tuning.sampling.proposals import PastTrial, SamplerPlan
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from distill_tune.tuning.scheduler import MODE, AshaPerBackbone

BACKBONES = ("resnet50", "alexnet")
NUM_TRIALS, MAX_EPOCHS = 12, 6
DIVERGES, RAISES = 4, 5


def report(config: dict[str, Any], epoch: int) -> dict[str, Any]:
    failed = config["number"] == DIVERGES and epoch == 2
    end = {"failure": "diverged", "done": True} if failed else {}
    return {OBJECTIVE: (1 - (config["params"]["joint.x"] - 0.3) ** 2) * (1 - 0.5**epoch), **end}


class TinyTrainable(tune.Trainable):
    """Reports from a formula; two of the trials end badly."""

    def setup(self, config: dict[str, Any]) -> None:
        self.tried = config

    def step(self) -> dict[str, Any]:
        if self.tried["number"] == RAISES:
            raise ValueError("on purpose")
        return report(self.tried, self.iteration + 1)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "state").touch()

    def load_checkpoint(self, checkpoint: Any) -> None:
        (Path(checkpoint) / "state").read_bytes()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


class Log(tune.Callback):
    """Appends to FOLDER/events.jsonl, and ends its own process after so many lines."""

    def __init__(self, folder: Path, sampler: SamplerPerBackbone, ending: tuple[str, int]) -> None:
        self.folder, self.sampler, self.ending = folder, sampler, ending
        self.count = 0

    def write(self, event: str, trial: Any, **more: Any) -> None:
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(
                json.dumps({"event": event, "number": trial.config["number"], **more}) + "\n"
            )
        self.count += 1
        if self.count == self.ending[1]:
            os.kill(os.getpid(), signal.Signals[self.ending[0]])

    def on_trial_start(self, **info: Any) -> None:  # type: ignore[override]
        self.write("start", info["trial"], raw=self.sampler.raw(info["trial"].trial_id))

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        result = info["result"]
        if not result.get("failure"):
            epoch, value = result["training_iteration"], result[OBJECTIVE]
            self.write("epoch", info["trial"], epoch=epoch, value=value)

    def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]
        last = info["trial"].last_result
        whole = last["training_iteration"] >= MAX_EPOCHS
        infeasible = last.get("failure") in INFEASIBLE
        status = "failed" if infeasible else "complete" if whole else "pruned"
        self.write("end", info["trial"], status=status, infeasible=infeasible)

    def on_trial_error(self, **info: Any) -> None:  # type: ignore[override]
        self.write("end", info["trial"], status="failed")


def read_log(folder: Path) -> list[dict[str, Any]]:
    log = folder / "events.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def load_events(folder: Path) -> Iterable[RungEvent]:
    for row in read_log(folder):
        if row["event"] == "epoch":
            backbone = BACKBONES[row["number"] % 2]
            yield RungEvent(row["number"], backbone, row["epoch"], row["value"])


def load_trials(folder: Path) -> list[PastTrial]:
    trials: dict[int, dict[str, Any]] = {}
    for row in read_log(folder):
        number = row["number"]
        trial = trials.setdefault(number, {"number": number, "intermediate": {}})
        if row["event"] == "start":
            trial |= {"backbone": BACKBONES[number % 2], "raw": row["raw"], "status": "running"}
        elif row["event"] == "epoch":
            trial["intermediate"][row["epoch"]] = row["value"]
        else:
            best = max(trial["intermediate"].values(), default=None)
            trial |= {"status": row["status"], "value": best}
            trial["infeasible"] = row.get("infeasible", False)
    return [PastTrial(**trial) for trial in trials.values()]


def make_parts(folder: Path) -> tuple[SamplerPerBackbone, AshaPerBackbone]:
    plan = SamplerPlan(
        backbones=BACKBONES,
        dimensions={"joint.x": Uniform(0, 1)},
        num_trials=NUM_TRIALS,
        min_epochs=1,
        max_epochs=MAX_EPOCHS,
        seed=0,
        num_startup_trials=2,
        points_to_evaluate=({"joint.x": 0.95},),
    )
    sampler = SamplerPerBackbone(plan)
    sampler.replay(load_trials(folder))
    scheduler = AshaPerBackbone(min_epochs=1, max_epochs=MAX_EPOCHS, reduction_factor=2)
    scheduler.replay(load_events(folder))
    return sampler, scheduler


def new_tuner(folder: Path, name: str, ending: tuple[str, int]) -> tune.Tuner:
    sampler, scheduler = make_parts(folder)
    return tune.Tuner(
        tune.with_resources(TinyTrainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=sampler,
            scheduler=scheduler,
            num_samples=NUM_TRIALS,
            max_concurrent_trials=1,
            reuse_actors=True,
            metric=OBJECTIVE,
            mode=MODE,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder),
            verbose=0,
            callbacks=[Log(folder, sampler, ending)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
        ),
    )


def search(folder: Path, name: str, ending: tuple[str, int]) -> tuple[Any, Any]:
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    tuner = new_tuner(folder, name, ending)
    tuner.fit()
    inside: Any = tuner._local_tuner
    return inside._tune_config.search_alg, inside._tune_config.scheduler


def imitate(folder: Path) -> tuple[SamplerPerBackbone, AshaPerBackbone]:
    """Call what Ray calls, in Ray's order, for one trial after the other."""
    sampler, scheduler = make_parts(folder)
    while isinstance(config := sampler.suggest(trial_id := uuid.uuid4().hex), dict):
        trial: Any = SimpleNamespace(config=config)
        last: dict[str, Any] = {}
        decision = scheduler.CONTINUE
        while decision == scheduler.CONTINUE:
            epoch = last.get("training_iteration", 0) + 1
            if config["number"] == RAISES:
                sampler.on_trial_complete(trial_id, error=True)
                break
            last = {"training_iteration": epoch, **report(config, epoch)}
            if last.get("done"):
                decision = scheduler.STOP
            else:
                decision = scheduler.on_trial_result(None, trial, last)
            if decision == scheduler.STOP:
                scheduler.on_trial_complete(None, trial, last)
                sampler.on_trial_complete(trial_id, last)
            else:
                sampler.on_trial_result(trial_id, last)
    return sampler, scheduler


def main(folder: Path, name: str, ending: tuple[str, int]) -> None:
    sampler, scheduler = imitate(folder) if name == "imitate" else search(folder, name, ending)
    trials = [(t.number, t.status, t.value, t.raw, t.intermediate) for t in sampler.history()]
    rungs = {backbone: scheduler.rungs(backbone) for backbone in BACKBONES}
    (folder / "summary.json").write_text(json.dumps({"trials": trials, "rungs": rungs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], (sys.argv[3], int(sys.argv[4])))
