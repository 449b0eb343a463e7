"""A trial that takes as long as recorded ones, and computes nothing: it sleeps."""

import csv
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

NUM_CORES = os.cpu_count() or 1
_TURN = Path(tempfile.gettempdir()) / f"distill-tune-import-{os.getpid() % NUM_CORES}.lock"
# A slot that is declared has no core of its own as a real one has. Of fifty processes that share
# one to import, none is ready before nearly all are: here they take turns. (The first new trial of
# a resume began after 74 s without that, after 37 s with it.)
with FileLock(_TURN):
    from ray import tune

TIMES = 4
"""A recorded trial is of ResNet-18 at 16 pixels; one of the shipped ResNet-50 takes four times as
long (13 s on two cores)."""
with Path(__file__).with_name("quality_table.csv").open(encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))
NUM_EPOCHS = sum(name.startswith("epoch_") for name in ROWS[0]) - 1


def start_seconds(number: int) -> float:
    """Return what a trial takes before its epochs."""
    return TIMES * float(ROWS[number % len(ROWS)]["start_s"])


def epoch_seconds(number: int) -> float:
    """Return what an epoch of a trial takes."""
    return TIMES * float(ROWS[number % len(ROWS)]["epoch_s"])


class StandIn(tune.Trainable):
    """Reports the values of a recorded run, by the trial's number, after as much time."""

    def setup(self, config: dict[str, Any], **_given: object) -> None:
        self._number: int = config["number"]
        self._is_begun = False

    def step(self) -> dict[str, Any]:
        time.sleep(epoch_seconds(self._number))
        if not self._is_begun:
            time.sleep(start_seconds(self._number))
            self._is_begun = True
        epoch = self.iteration + 1
        value = float(ROWS[self._number % len(ROWS)][f"epoch_{epoch}"])
        names = ["val/accuracy", *(f"metric/{number}" for number in range(30))]
        return {
            "objective": value,
            "epoch": epoch,
            "training_iteration": epoch,
            "done": epoch == NUM_EPOCHS,
            "metrics": dict.fromkeys(names, value),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "epoch").write_text(str(self.iteration))

    def load_checkpoint(self, checkpoint: Any) -> None:
        raise AssertionError(f"{checkpoint}: no trial of this search is lost")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True
