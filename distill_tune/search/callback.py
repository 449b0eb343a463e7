"""What Ray tells the driver of its trials, as events of the study."""

import time
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.experiment import Trial as RayTrial

from distill_tune.errors import DiskFullError, is_disk_full
from distill_tune.search.checkpoints import delete_checkpoints
from distill_tune.search.journal import Journal
from distill_tune.search.models import keep_best_models
from distill_tune.search.sampler import SamplerPerBackbone
from distill_tune.search.scheduler import OBJECTIVE
from distill_tune.search.trainable import trial_name
from distill_tune.tracking import TensorBoard

_TABLES_EVERY_S = 10.0


class StudyCallback(tune.Callback):
    """Keeps the study's records.

    Args:
        journal: Where events go; an attribute.
        sampler: Knows the raw values of a proposal, which its replay needs.
        max_epochs: A trial with fewer epochs was pruned.
        keep_top: Of how many trials of each backbone the model is kept.
    """

    def __init__(
        self, journal: Journal, sampler: SamplerPerBackbone, *, max_epochs: int, keep_top: int
    ) -> None:
        self.journal, self._sampler = journal, sampler
        self._max_epochs, self._keep_top = max_epochs, keep_top
        self._tables_at = time.monotonic()
        self._running: dict[int, RayTrial] = {}

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as nothing: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._start(trial)

    def _start(self, trial: RayTrial) -> None:
        config = trial.config
        self._running[config["number"]] = trial
        self.journal.emit(
            "trial_started",
            trial=config["number"],
            name=trial_name(config),
            backbone=config["backbone"],
            params=config["params"],
            raw=self._sampler.raw(trial.trial_id),
        )

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        result: dict[str, Any],
        **info: Any,  # noqa: ARG002
    ) -> None:
        for text in result.get("warnings", ()):
            self.journal.emit("warning", text=text)
        if result.get("failure"):
            return
        self.journal.emit(
            "epoch",
            trial=trial.config["number"],
            epoch=result["epoch"],
            metrics={OBJECTIVE: result[OBJECTIVE], **result["metrics"]},
        )
        if time.monotonic() - self._tables_at > _TABLES_EVERY_S:
            self._write_tables()

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        result = trial.last_result
        if result.get("failure"):
            self._end(trial, "failed", result["failure"], result.get("detail", ""))
        elif result["epoch"] < self._max_epochs:
            detail = f"too far below the others at the rung of epoch {result['epoch']}"
            self._end(trial, "pruned", f"rung {result['epoch']}", detail)
        else:
            self._end(trial, "complete", "", "")

    def on_trial_error(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        reason, detail = _explain(trial)
        if trial.config["number"] not in self._running:
            # It failed as it was built: Ray never called it started.
            self._start(trial)
        self._end(trial, "failed", reason, detail)

    def on_trial_recover(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        _, detail = _explain(trial)
        text = f"{trial_name(trial.config)} goes on from its last checkpoint: {detail}"
        self.journal.emit("warning", text=text)

    def end_out_of_memory(self, error: BaseException) -> bool:
        """End the trial whose worker Ray's memory monitor killed, which ended the experiment too.

        Args:
            error: What came out of Ray's experiment.

        Returns:
            Whether it was that, and the trial is known.
        """
        cause = error.__cause__
        if not isinstance(cause, OutOfMemoryError):
            return False
        said = str(cause)
        for trial in list(self._running.values()):
            actor = trial.temporary_state.ray_actor
            if actor is not None and actor._actor_id.hex() in said:  # noqa: SLF001 - nowhere else
                detail = next((line.strip() for line in said.splitlines() if line.strip()), "")
                self._end(trial, "failed", "out_of_memory", detail)
                return True
        return False

    def _end(self, trial: RayTrial, status: str, reason: str, detail: str) -> None:
        number = trial.config["number"]
        self.journal.emit("trial_ended", trial=number, status=status, reason=reason, detail=detail)
        self._running.pop(number, None)
        self._write_tables()
        name = trial_name(trial.config)
        delete_checkpoints(self.journal.directory, name)
        keep_best_models(self.journal.directory, self.journal.state, self._keep_top)
        board = TensorBoard(self.journal.directory.path(f"tensorboard/{name}"))
        board.hparams_end(succeeded=status != "failed")
        board.close()

    def _write_tables(self) -> None:
        self.journal.write_tables()
        self._tables_at = time.monotonic()


def _explain(trial: RayTrial) -> tuple[str, str]:
    """Return reason and last line of what ended a trial's process or its code.

    Raises:
        DiskFullError: It was for want of room, which is no fault of the trial's.
    """
    error = _last_error(trial)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if is_disk_full(error):
        raise DiskFullError(lines[-1])
    is_lost = isinstance(error, RayActorError) and not error.actor_init_failed
    return "worker_lost" if is_lost else "error", lines[-1] if lines else "no message"


def _last_error(trial: RayTrial) -> object:
    """Read it where the driver keeps it: the storage has it at Ray's next snapshot only."""
    path = trial.pickled_error_file
    if path and Path(path).exists():
        return cloudpickle.loads(Path(path).read_bytes())
    return Path(trial.error_file).read_text() if trial.error_file else ""
