"""Scheduler: asynchronous successive halving with rungs per backbone, rebuilt after a resume."""

import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.extra_runs import is_extra
from distill_tune.study.rungs import RungEvent, rung_epochs
from distill_tune.tuning.interrupts import Drain

MODE: Final = "max"
"""The only mode: a higher objective is better. A study that minimises reports the negative."""


class Verdict(NamedTuple):
    """Value of a trial at a rung, and whether the trial was stopped there."""

    value: float
    stop: bool


class Rung(NamedTuple):
    """Epoch at which trials are compared.

    Attributes:
        epoch: 1-based.
        verdicts: By trial number, in the order in which the trials arrived.
    """

    epoch: int
    verdicts: dict[int, Verdict]


class AshaPerBackbone(FIFOScheduler):
    """Scheduler that stops, at each rung, a trial worse than most earlier ones of its backbone.

    The rule is that of Ray's ``ASHAScheduler(brackets=1)``: at the epochs ``min_epochs *
    reduction_factor ** k``, a trial continues unless its objective lies below the ``1 - 1 /
    reduction_factor`` quantile of the trials that reached the rung before it. Unlike with Ray's
    scheduler, a trial is judged once per rung, at exactly that epoch: if it returns to the rung
    after a restore or a retry, it gets the same verdict, and late scores never enter lower rungs.

    Ray does not save a scheduler's state; after a resume, ``replay`` judges the log again.

    Args:
        min_epochs: Epochs that every trial gets; the first rung.
        max_epochs: Epochs after which a trial is complete.
        reduction_factor: One in so many trials passes a rung; greater than 1.
        continued: Reports of trials of other studies, which all others are compared with.

    Attributes:
        drain: Of the experiment: once it has begun, trials are paused and none is started.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        *,
        min_epochs: int,
        max_epochs: int,
        reduction_factor: float,
        continued: Iterable[RungEvent] = (),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rung_epochs = rung_epochs(min_epochs, max_epochs, reduction_factor)
        self._max_epochs = max_epochs
        self._quantile = 1 - 1 / reduction_factor
        self._tables: dict[str, dict[int, dict[int, Verdict]]] = {}
        self._continued = tuple(continued)
        self.drain = Drain()
        self.replay(())

    @property
    def metric(self) -> str:
        """The name of the metric that Ray expects in every result."""
        return OBJECTIVE

    @property
    def supports_buffered_results(self) -> bool:
        """False: a trial must learn that it is stopped before it starts its next epoch."""
        return False

    def set_search_properties(self, metric: str | None, mode: str | None, **_spec: object) -> bool:
        return metric in (None, OBJECTIVE) and mode in (None, MODE)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return a failed trial that waits to run again, if any: it goes before new ones.

        A drained experiment starts no trial, not even one that it has paused.

        Ray gives the chosen trial the next free process, and ends the one that is being started for
        it. If any waiting trial could be chosen, a node that joins would run none wherever starting
        a process takes longer than trials take to end.
        """
        if self.drain.is_begun:
            tune_controller.search_alg.set_finished()
            return None
        live: set[Trial] = tune_controller.get_live_trials()
        failed = [trial for trial in live if trial.status == Trial.PENDING and trial.num_failures]
        return min(failed, key=lambda trial: int(trial.config["number"]), default=None)

    def on_trial_result(
        self,
        tune_controller: object,  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
    ) -> str:
        self.drain.epoch_s = max(self.drain.epoch_s, result.get("metrics/seconds/joint", 0.0))
        if result.get("failure") or result["training_iteration"] >= self._max_epochs:
            return self.STOP
        if not is_extra(trial.config) and self.judge(_event(trial, result)):
            return self.STOP
        return self.PAUSE if self.drain.is_begun else self.CONTINUE

    def on_trial_complete(
        self,
        tune_controller: object,  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
    ) -> None:
        # Ray asks for no verdict on a result that says done, yet its value counts for the others.
        if not is_extra(trial.config) and not result.get("failure") and OBJECTIVE in result:
            self.judge(_event(trial, result))

    def debug_string(self) -> str:
        lines = [f"ASHA per backbone, rungs at epochs {list(self._rung_epochs)}"]
        lines += [f"{backbone}: {self._describe(backbone)}" for backbone in self._tables]
        return "\n".join(lines)

    def rungs(self, backbone: str) -> list[Rung]:
        """Return the rungs of a backbone, lowest first, including those without trials."""
        table = self._tables.get(backbone, {})
        return [Rung(epoch, dict(table.get(epoch, {}))) for epoch in self._rung_epochs]

    def replay(self, events: Iterable[RungEvent]) -> None:
        """Forget everything and judge the events again, in their order.

        The events of an uninterrupted search reproduce its final table. If a report occurs twice,
        the first counts.
        """
        self._tables = {}
        for event in self._continued:
            rung = self._table(event.backbone).get(event.epoch)
            if rung is not None and math.isfinite(event.objective):
                # It has gone its way: there is nothing to stop.
                rung[event.number] = Verdict(event.objective, stop=False)
        for event in events:
            self.judge(event)

    def judge(self, event: RungEvent) -> bool:
        """Record the event if it is the trial's first at a rung; return whether to stop."""
        table = self._table(event.backbone)
        passed = [rung for epoch, rung in table.items() if epoch <= event.epoch]
        if any(event.number in rung and rung[event.number].stop for rung in passed):
            # A trial restored from the checkpoint of this very rung returns an epoch later.
            return True
        rung = table.get(event.epoch)
        if rung is None or event.number in rung or not math.isfinite(event.objective):
            return False
        stop = bool(rung) and event.objective < self._cutoff(rung)
        rung[event.number] = Verdict(event.objective, stop)
        return stop

    def _table(self, backbone: str) -> dict[int, dict[int, Verdict]]:
        return self._tables.setdefault(backbone, {rung: {} for rung in self._rung_epochs})

    def _cutoff(self, rung: dict[int, Verdict]) -> float:
        values = [verdict.value for verdict in rung.values()]
        return float(np.nanpercentile(values, self._quantile * 100))

    def _describe(self, backbone: str) -> str:
        rungs = [rung for rung in self.rungs(backbone) if rung.verdicts]
        return " | ".join(
            f"epoch {rung.epoch}: {sum(v.stop for v in rung.verdicts.values())} of "
            f"{len(rung.verdicts)} stopped, cutoff {self._cutoff(rung.verdicts):.4g}"
            for rung in rungs
        )


def _event(trial: Trial, result: dict[str, Any]) -> RungEvent:
    config = trial.config
    epoch, objective = result["training_iteration"], result[OBJECTIVE]
    return RungEvent(config["number"], config["backbone"], int(epoch), float(objective))
