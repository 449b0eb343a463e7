"""Storms: a search whose driver, workers or both are killed again and again, at seeded moments."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.commands import (
    PATIENCE_S,
    Run,
    checkpoints,
    epochs_reported,
    is_doubled,
    is_whole,
    of_kind,
    read_events,
    rows,
    scalars,
    write_space,
)

TARGETS = ("driver", "driver", "worker", "both")
MOMENTS = ("at once", "by the clock", "by the clock", "checkpoint", "checkpoint", "records")

_LONGEST_S = 9.0
_PATIENCE_S = 20.0


class Kill(NamedTuple):
    """What was killed, and when: ``moment`` names what the search was about to do."""

    target: str
    moment: str


class Storm:
    """A search through its kills to its end.

    Args:
        folder: Where its space and its study lie.
        text: The space.
        seed: Of the moments and targets.
        num_kills: Killed so often, unless the search ends before.
    """

    def __init__(self, folder: Path, text: str, seed: int, num_kills: int) -> None:
        self.study = folder / "runs/tiny"
        self.kills: list[Kill] = []
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._command = write_space(folder, text)
        self._run = Run(*self._command)
        self._sessions = 1
        while len(self.kills) < num_kills and self._strike():
            continue
        # Whatever trials the kills left have yet to run.
        self.exit_status = self._run.wait(4 * PATIENCE_S)
        self.output = self._run.output

    def _strike(self) -> bool:
        """Wait for a moment and kill; False when the search came to its end before."""
        target, moment = self._random.choice(TARGETS), self._random.choice(MOMENTS)
        seconds, epochs = self._random.uniform(0, _LONGEST_S), self._random.randint(1, 4)
        for is_there in self._waiting(moment, seconds, epochs):
            if self._run.process.poll() is not None:
                return False
            if is_there:
                break
        if target != "driver" and not self._kill_workers() and target == "worker":
            # No trial runs at this moment; the next one will do.
            return True
        if target != "worker":
            self._run.send(signal.SIGKILL)
            self._run.wait()
            self._run.wait_for_silence(but_for="Agent")
            self._run = Run("resume", str(self.study)) if self._is_begun() else self._again()
            self._sessions += 1
        self.kills.append(Kill(target, moment))
        return True

    def _is_begun(self) -> bool:
        return (self.study / "study.yaml").exists()

    def _again(self) -> Run:
        """Search anew: the kill came before there was a study."""
        return Run(*self._command)

    def _waiting(self, moment: str, seconds: float, epochs: int) -> Iterator[bool]:
        """Yield, again and again, whether the moment is there."""
        while not self._session_is_on():
            yield False
            time.sleep(0.002)
        if moment == "at once":
            yield True
        begun = time.monotonic()
        while moment == "by the clock" and time.monotonic() < begun + seconds:
            yield False
            time.sleep(0.01)
        before = len(of_kind(read_events(self.study), "epoch"))
        while moment in {"checkpoint", "records"}:
            reported = len(of_kind(read_events(self.study), "epoch")) - before
            is_late = time.monotonic() > begun + _PATIENCE_S
            yield is_late or (reported >= epochs and self._is_writing(moment))
            time.sleep(0.001)
        yield True

    def _session_is_on(self) -> bool:
        return len(of_kind(read_events(self.study), "session_started")) >= self._sessions

    def _is_writing(self, what: str) -> bool:
        if what == "records":
            return any(self.study.glob(".*.tmp"))
        return not all(map(is_whole, checkpoints(self.study)))

    def _kill_workers(self) -> bool:
        titles = self._run.survivors()
        workers = [n for n, title in titles.items() if "Trainable" in title or "::Distill" in title]
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        return bool(workers)

    def table(self) -> str:
        """Return what happened, and what was lost, in a few lines."""
        events = read_events(self.study)
        epochs = Counter(epochs_reported(events))
        kills = Counter(str(kill.target) for kill in self.kills)
        moments = Counter(kill.moment for kill in self.kills)
        return "\n".join(
            [
                f"kills              {len(self.kills)}  {dict(kills)}",
                f"moments            {dict(moments)}",
                f"sessions           {len(of_kind(events, 'session_started'))}",
                f"workers recovered  {len(of_kind(events, 'warning'))}",
                f"trials             {len(of_kind(events, 'trial_ended'))}",
                f"epochs             {len(epochs)}",
                f"epochs repeated    {sum(epochs.values()) - len(epochs)}",
                f"rows lost          {len(lost_rows(self.study))}",
                f"rows doubled       {len(doubled_rows(self.study))}",
            ]
        )


def lost_rows(study: Path) -> list[tuple[str, int]]:
    """Return (trial, epoch) that the tables or TensorBoard should hold and do not."""
    lost = []
    table = {(row["name"], int(row["epoch"])) for row in rows(study, "epochs.csv")}
    for trial in rows(study, "trials.csv"):
        board = scalars(study / "tensorboard" / trial["name"])
        for epoch in range(1, int(trial["epochs"]) + 1):
            is_there = (trial["name"], epoch) in table and ("joint/val/accuracy", epoch) in board
            lost += [] if is_there else [(trial["name"], epoch)]
    return lost


def doubled_rows(study: Path) -> list[object]:
    """Return what the tables or TensorBoard hold more than once."""
    table = Counter((row["name"], row["epoch"]) for row in rows(study, "epochs.csv"))
    names = Counter(row["name"] for row in rows(study, "trials.csv"))
    boards = [board for board in (study / "tensorboard").iterdir() if is_doubled(board)]
    return [*(key for key, n in (table + names).items() if n > 1), *boards]
