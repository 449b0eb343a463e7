"""What Ray tells the driver of its trials, as events of the study."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.experiment import Trial as RayTrial

from distill_tune.errors import DiskFullError, is_disk_full
from distill_tune.search.checkpoints import delete_checkpoints
from distill_tune.search.journal import Journal
from distill_tune.search.memory import actor_id, is_memory_kill, memory_detail, victims
from distill_tune.search.models import keep_best_models
from distill_tune.search.sampler import SamplerPerBackbone
from distill_tune.search.scheduler import OBJECTIVE
from distill_tune.search.trainable import trial_name
from distill_tune.study import Study

_TABLES_EVERY_S = 10.0


class StudyCallback(tune.Callback):
    """Keeps the study's records.

    Args:
        journal: Where events go.
        sampler: Knows the raw values of a proposal, which its replay needs.
        study: For what a whole trial is, and what is kept of it.
        losses: How often each trial was begun again in this session, by number; counted here.

    Attributes:
        fatal: The first error of a callback. Ray takes some of them for a failure of the trial,
            and tells others on as text; whoever ran the experiment finds it here.
        goes_on: Whether the experiment was given up, and another one has to go on: Ray's memory
            monitor killed a worker, or Ray did not try a lost one again.
    """

    def __init__(
        self, journal: Journal, sampler: SamplerPerBackbone, study: Study, losses: Counter[int]
    ) -> None:
        self._journal, self._sampler, self._study = journal, sampler, study
        self._losses = losses
        self._tables_at = time.monotonic()
        self._running: dict[int, RayTrial] = {}
        self._actors: dict[str, int] = {}
        self.fatal: Exception | None = None
        self.goes_on = False

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as nothing: Ray stores its callbacks, and a session makes its own."""
        return tune.Callback, ()

    @contextmanager
    def _fatal_kept(self) -> Iterator[None]:
        if self.fatal is not None:
            raise self.fatal
        try:
            yield
        except Exception as error:
            self.fatal = error
            raise

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._fatal_kept():
            self._start(trial)

    def _start(self, trial: RayTrial) -> None:
        config = trial.config
        self._running[config["number"]] = trial
        self._actors[actor_id(trial)] = config["number"]
        self._journal.emit(
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
        with self._fatal_kept():
            for text in result.get("warnings", ()):
                self._journal.emit("warning", text=text)
            if result.get("stages"):
                number = trial.config["number"]
                self._journal.emit("stages_adopted", trial=number, keys=result["stages"])
            if not result.get("failure"):
                self._epoch(trial.config["number"], result)

    def _epoch(self, number: int, result: dict[str, Any]) -> None:
        metrics = {OBJECTIVE: result[OBJECTIVE], **result["metrics"]}
        self._journal.emit("epoch", trial=number, epoch=result["epoch"], metrics=metrics)
        if time.monotonic() - self._tables_at > _TABLES_EVERY_S:
            self._write_tables()

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._fatal_kept():
            self._complete(trial, trial.last_result)

    def _complete(self, trial: RayTrial, result: dict[str, Any]) -> None:
        if result.get("failure"):
            self._end(trial, "failed", result["failure"], result.get("detail", ""))
        elif result["epoch"] < self._study.max_epochs:
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
        with self._fatal_kept():
            if trial.config["number"] not in self._running:
                # It failed as it was built: Ray never called it started.
                self._start(trial)
            error = _last_error(trial)
            number = trial.config["number"]
            if is_memory_kill(error):
                self._end_for_memory(number, str(error))
                return
            reason, detail = _explain(error)
            if reason == "worker_lost" and self._losses[number] < self._study.search.max_failures:
                # Of a worker lost as it took on its next trial Ray hears twice, and after the
                # second time gives the trial up. Its place in the order is here: begin anew.
                self.goes_on = True
                raise _GivenUpError(detail)
            self._end(trial, "failed", reason, detail)

    def on_trial_recover(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._fatal_kept():
            error = _last_error(trial)
            number = trial.config["number"]
            if is_memory_kill(error):
                if number not in self._running:
                    self._start(trial)
                self._end_for_memory(number, str(error))
                # Ray would run it again; an experiment without it does not.
                raise _GivenUpError(str(error))
            self._losses[number] += 1
            _, detail = _explain(error)
            from_where = "from its last checkpoint" if number in self._running else "from its start"
            text = f"{trial_name(trial.config)} goes on {from_where}: {detail}"
            self._journal.emit("warning", text=text)

    def go_on_after(self, error: BaseException) -> bool:
        """Tell whether another experiment can go on after what came out of this one.

        Where Ray's memory monitor stopped it, the trial whose worker was killed is ended.
        """
        if self.goes_on:
            return True
        if not isinstance(error.__cause__, OutOfMemoryError):
            return False
        said = str(error.__cause__)
        numbers = [self._actors[actor] for actor in victims(said) if actor in self._actors]
        numbers = [number for number in numbers if number in self._running] or (
            list(self._running) if len(self._running) == 1 else []
        )
        if numbers:
            self._end_for_memory(numbers[0], said)
        return bool(numbers)

    def _end_for_memory(self, number: int, said: str) -> None:
        trial = self._running[number]
        sizes = [gb for actor, gb in victims(said).items() if self._actors.get(actor) == number]
        config = self._study.trial_config(trial.config["backbone"], trial.config["params"])
        detail = memory_detail(config, said, sizes[0] if sizes else None)
        self._end(trial, "failed", "out_of_memory", detail)
        self.goes_on = True

    def _end(self, trial: RayTrial, status: str, reason: str, detail: str) -> None:
        number, name = trial.config["number"], trial_name(trial.config)
        self._journal.end_trial(number, name, status=status, reason=reason, detail=detail)
        self._running.pop(number, None)
        self._write_tables()
        delete_checkpoints(self._journal.directory.root, name)
        keep_best_models(self._journal.directory, self._journal.state, self._study.search.keep_top)

    def _write_tables(self) -> None:
        self._journal.write_tables()
        self._tables_at = time.monotonic()


class _GivenUpError(Exception):
    """Ends an experiment from within a callback, so that another one goes on."""


def _explain(error: object) -> tuple[str, str]:
    """Return reason and last line of what ended a trial's process or its code.

    Raises:
        DiskFullError: It was for want of room, which is no fault of the trial's.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if is_disk_full(error):
        raise DiskFullError(lines[-1])
    is_lost = isinstance(error, RayActorError) and not error.actor_init_failed
    return "worker_lost" if is_lost else "error", lines[-1] if lines else "no message"


def _last_error(trial: RayTrial) -> object:
    """Return a trial's last error: itself where Ray kept it, else as text.

    Read where the driver keeps it: the storage has it at Ray's next snapshot only.
    """
    text = Path(trial.error_file).read_text() if trial.error_file else ""
    last = text.rpartition("Failure # ")[2].partition("\n")[2].strip()
    path = trial.pickled_error_file
    if path and Path(path).exists():
        error = cloudpickle.loads(Path(path).read_bytes())
        # Not every error is pickled: this one may be of an earlier failure.
        if str(error).strip() == last:
            return error
    return last
