"""Ray's callbacks about trials, recorded as events of the study."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial

from distill_tune.cluster.failures.memory_kills import (
    is_memory_kill,
    is_out_of_memory_error,
    victims,
)
from distill_tune.cluster.failures.ray_errors import explain, last_error, names_taken_node
from distill_tune.cluster.failures.start_failures import LOST
from distill_tune.cluster.failures.worker_logs import last_words
from distill_tune.cluster.ray_private import actor_id
from distill_tune.records.words.fitness_text import briefly
from distill_tune.study.extra_runs import is_extra, proposed_config
from distill_tune.study.study import Study
from distill_tune.training.memory import memory_detail
from distill_tune.tuning.callbacks.run_records import RunRecords
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.sampling.proposals import trial_name
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone

# The tables are for users. They are written so rarely that it takes next to no time, however long
# they are.
_TABLES_EVERY_S, _TABLES_REST = 10.0, 50.0


class StudyCallback(tune.Callback):
    """Callback that keeps the study's records.

    Args:
        journal: Where events go.
        sampler: Knows the raw values of a proposal, which its replay needs.
        study: Says when a trial is complete, and how many models are kept.
        losses: Restarts of each trial in this session, by number; counted here.

    Attributes:
        fatal: The first error of a callback. Ray treats some of them as a failure of the trial, and
            passes others on as text; the code that ran the experiment finds the error here.
        goes_on: Whether the experiment was given up and another one must take over: Ray's memory
            monitor killed a worker, or Ray did not retry a lost one.
    """

    def __init__(
        self, journal: Journal, sampler: SamplerPerBackbone, study: Study, losses: Counter[int]
    ) -> None:
        self._journal, self._sampler, self._study = journal, sampler, study
        self._losses = losses
        self._records = RunRecords(journal, study)
        self._tables_due = time.monotonic() + _TABLES_EVERY_S
        self._running: dict[int, RayTrial] = {}
        self._actors: dict[str, int] = {}
        self.fatal: Exception | None = None
        self.goes_on = False

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback: Ray stores its callbacks, and a session makes its own."""
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
        self._records.start(config, {} if is_extra(config) else self._sampler.raw(trial.trial_id))

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
                brief = briefly(text, self._journal.state.warnings)
                self._journal.warn(brief)
            self._records.adopted(trial.config, result.get("stages", []))
            if result.get("failure"):
                # The trial has computed, and reports itself why it cannot continue.
                self._journal.starts.begun()
            else:
                self._records.epoch(trial.config, result)
                self._write_tables_if_due()
            # Ray would keep statistics of every number in it, and store them again and again.
            result.pop("metrics", None)

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._fatal_kept():
            self._end(trial, *self._records.outcome(trial.config, trial.last_result))

    def on_trial_error(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[RayTrial],  # noqa: ARG002
        trial: RayTrial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._fatal_kept():
            if trial.config["number"] not in self._running:
                # It failed while being built: Ray never reported it as started.
                self._start(trial)
            error = last_error(trial.error_file, trial.pickled_error_file)
            number = trial.config["number"]
            if is_memory_kill(error):
                self._end_for_memory(number, str(error))
                return
            reason, detail = explain(error)
            is_free = names_taken_node(error)
            if not is_free:
                self._failed_at_start(trial, error)
            has_tries = is_free or self._losses[number] < self._study.search.max_failures
            if reason == "worker_lost" and has_tries:
                # If a worker is lost as it takes on its next trial, Ray hears of it twice and gives
                # the trial up after the second time. The trial keeps its number here and starts
                # over.
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
            error = last_error(trial.error_file, trial.pickled_error_file)
            number = trial.config["number"]
            if is_memory_kill(error):
                if number not in self._running:
                    self._start(trial)
                self._end_for_memory(number, str(error))
                # Ray would run it again; an experiment without it does not.
                raise _GivenUpError(str(error))
            _, detail = explain(error)
            if not names_taken_node(error):
                # A node that the cluster takes back with notice is nobody's failure.
                self._losses[number] += 1
                self._failed_at_start(trial, error)
            from_where = "from its last checkpoint" if number in self._running else "from its start"
            text = f"{trial_name(trial.config)} continues {from_where}: {detail}"
            self._journal.warn(text)

    def _failed_at_start(self, trial: RayTrial, error: object) -> None:
        """End the search if no trial gets as far as its first report."""
        reason, detail = explain(error)
        if reason == LOST:
            detail = last_words(error, detail)
        names = [one.name for one in self._study.backbones]
        name, cause = trial_name(trial.config), f"{reason}: {detail}"
        self._journal.starts.add(name, trial.config["backbone"], cause, names)

    def go_on_after(self, error: BaseException) -> bool:
        """Return whether another experiment can take over after the error that ended this one.

        If Ray's memory monitor stopped it, the trial whose worker was killed is ended.
        """
        if self.goes_on:
            return True
        if not is_out_of_memory_error(error.__cause__):
            return False
        message = str(error.__cause__)
        numbers = [self._actors[actor] for actor in victims(message) if actor in self._actors]
        numbers = [number for number in numbers if number in self._running] or (
            list(self._running) if len(self._running) == 1 else []
        )
        if numbers:
            self._end_for_memory(numbers[0], message)
        return bool(numbers)

    def _end_for_memory(self, number: int, message: str) -> None:
        trial = self._running[number]
        sizes = [gb for actor, gb in victims(message).items() if self._actors.get(actor) == number]
        config = proposed_config(self._study, trial.config)
        detail = memory_detail(config, message, sizes[0] if sizes else None)
        self._end(trial, "failed", "out_of_memory", detail)
        self.goes_on = True

    def _end(self, trial: RayTrial, status: str, reason: str, detail: str) -> None:
        self._records.end(trial.config, status, reason, detail)
        self._running.pop(trial.config["number"], None)
        self._write_tables_if_due()

    def _write_tables_if_due(self) -> None:
        begun = time.monotonic()
        if begun >= self._tables_due:
            self._journal.write_tables()
            ended = time.monotonic()
            self._tables_due = ended + max(_TABLES_EVERY_S, _TABLES_REST * (ended - begun))


class _GivenUpError(Exception):
    """Exception that ends an experiment from within a callback, so that another one takes over."""
