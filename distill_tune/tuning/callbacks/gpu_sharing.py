"""Trials that share a GPU: their use is recorded and, on request, decides how many share one."""

from collections import Counter
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial

from distill_tune.cluster.resources import Slots, present_slots
from distill_tune.records.gpu_use import PACKING, GpuUse, fitting, gpu_uses
from distill_tune.study.study import Study
from distill_tune.tuning.interrupts import Drain
from distill_tune.tuning.journal import Journal


class PackingCallback(tune.Callback):
    """Callback that records the trials' use of a GPU, and knows when more of them fit on each.

    Args:
        study: The whole search.
        journal: Where events go.
        whole: Slots in which a trial has a GPU for itself.
        slots: Those of this experiment.
        drain: Of this experiment; begun when another one is to take over.

    Attributes:
        is_due: Whether another experiment is to take over: more trials fit, and none ran in vain.
    """

    def __init__(
        self, study: Study, journal: Journal, whole: Slots, slots: Slots, drain: Drain
    ) -> None:
        self._study, self._journal, self._drain = study, journal, drain
        self._whole, self._slots = whole, slots
        self._running: Counter[int] = Counter()
        self._can_be_more = self.is_due = False

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Pickle as a plain callback, as the study's own callback does."""
        return tune.Callback, ()

    def on_trial_start(self, **info: Any) -> None:  # type: ignore[override]
        self._running[_number(info["trial"])] = 0

    def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]
        self._running.pop(_number(info["trial"]), None)
        self._drain_if_due()

    def on_trial_error(self, **info: Any) -> None:  # type: ignore[override]
        self._running.pop(_number(info["trial"]), None)
        self._drain_if_due()

    def on_trial_result(self, **info: Any) -> None:  # type: ignore[override]
        self._running[_number(info["trial"])] += 1
        found = info["result"].get("gpu_use")
        if found is not None:
            self._record(info["trial"].config["backbone"], GpuUse(**found))
        self._drain_if_due()

    def _drain_if_due(self) -> None:
        # Every trial has completed an epoch, after which it can be saved.
        if self._can_be_more and all(self._running.values()):
            self.is_due = True
            self._drain.begin()

    def _record(self, backbone: str, use: GpuUse) -> None:
        """Record the use of a backbone's first trial in this session; of later ones, only more."""
        known = gpu_uses(self._journal.session_packing_events).get(backbone)
        if known is not None and fitting(use) >= fitting(known):
            return
        self._journal.emit(PACKING, backbone=backbone, **use._asdict())
        slots = present_slots(self._study, self._whole, gpu_uses(self._journal.packing_events))
        over = sum(trial.ended_at is not None for trial in self._journal.state.trials.values())
        is_work_left = self._study.search.num_trials - over > self._slots.count
        self._can_be_more = is_work_left and slots.count > self._slots.count


def _number(trial: RayTrial) -> int:
    return int(trial.config["number"])
