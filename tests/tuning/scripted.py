"""Tiny trials that end as their script says, and note what Ray asks of them."""

import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

from ray import cloudpickle, tune
from ray.tune.experiment import Trial as RayTrial

from distill_tune.records.trials import OBJECTIVE

_DONE = {"done", "diverges", "dies once", "terminates", "asks", "asks, dies once", "is paused"}


class Script(NamedTuple):
    """What a trial does.

    Attributes:
        ends: ``done``, ``diverges``, ``stopped``, ``raises``, ``dies`` (each time), ``dies once``,
            ``no metric``, ``terminates`` (the driver), or the name of the method that raises;
            ``asks`` for checkpoints until it is done, ``asks, dies once``, ``is paused`` once.
        epochs: At which of its epochs.
        first: Number of its first epoch, which Ray takes for the first.
    """

    ends: str
    epochs: int = 2
    first: int = 1

    @property
    def last(self) -> int:
        """The number of the epoch at which it ends."""
        return self.first + self.epochs - 1


class ScriptedTrial(tune.Trainable):
    """Notes every call of Ray's in a file, as it may die at any of them."""

    def setup(self, config: dict[str, Any], notes: str = "") -> None:
        self._notes = Path(notes)
        self._begin("setup", config)

    def _begin(self, method: str, config: dict[str, Any]) -> None:
        self._number, self._script = config["number"], Script(*config["script"])
        self._epoch = self._script.first - 1
        held = self.trial_resources
        self._note(method, resources=held.required_resources if held else {})
        if self._script.ends == method:
            raise ValueError("on purpose")

    def _note(self, call: str, **facts: Any) -> None:
        row = {"call": call, "number": self._number, "epoch": self._epoch, "pid": os.getpid()}
        with (self._notes / "calls.jsonl").open("a") as file:
            file.write(json.dumps(row | facts) + "\n")

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        self._note("step")
        ends = self._script.ends if self._epoch == self._script.last else ""
        if ends == "raises":
            raise ValueError("on purpose")
        if "dies" in ends and not self._died_before():
            os.kill(os.getpid(), signal.SIGKILL)
        result: dict[str, Any] = {"epoch": self._epoch, "metrics": {"val/accuracy": 0.5}}
        result |= {"training_iteration": self._epoch, OBJECTIVE: 0.5}
        result["should_checkpoint"] = self._script.ends.startswith("asks")
        if ends == "no metric":
            del result[OBJECTIVE]
        if ends == "diverges":
            result |= {"failure": "diverged", OBJECTIVE: 0.0}
        return result | {"done": ends in _DONE}

    def _died_before(self) -> bool:
        marker = self._notes / f"{self._number}.died"
        died = marker.exists() and self._script.ends.endswith("dies once")
        marker.touch()
        return died

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        told = self._notes / f"told-{self._number}-{self._epoch}"
        self._note("save", is_told=told.exists())
        (Path(checkpoint_dir) / "epoch").write_text(str(self._epoch))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self._epoch = int((Path(checkpoint) / "epoch").read_text())
        self._note("load")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin("reset_config", new_config)
        return True


def pickled_error(trial: RayTrial) -> Exception:
    """Return what a trial failed of, as our callback reads it."""
    assert trial.pickled_error_file is not None
    error: Exception = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return error
