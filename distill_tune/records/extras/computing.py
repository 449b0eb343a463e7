"""Hours that a search has computed, of GPUs or of cores: trials, stages, controls, finalists."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

from distill_tune.records.gpu_use import GpuUse, fitting, share
from distill_tune.records.trials import StageRecord, StudyState

_HOUR_S = 3600.0
_SEED = " seed="


class Computing(NamedTuple):
    """Seconds or hours that a search has computed, by what took them.

    Attributes:
        trials: Stages that trials computed for themselves, and their epochs.
        stages: Shared stages, without those that were found ready.
        controls: Controls, likewise.
        finalists: Finalists on their further seeds, likewise.
    """

    trials: float
    stages: float
    controls: float
    finalists: float

    @property
    def total(self) -> float:
        """The sum."""
        return sum(self)

    def times(self, factor: float) -> "Computing":
        """Return each part times a factor."""
        return Computing(*(factor * part for part in self))


def computing_s(state: StudyState, backbone: str | None = None) -> Computing:
    """Return the seconds that a search has computed. Those of a confirmation do not count.

    Args:
        state: State of the study.
        backbone: Count only its runs and the stages that they use; None: everything.
    """
    trials = [t for t in state.trials.values() if backbone in {None, t.backbone}]
    extras = [r for r in state.extras.values() if backbone in {None, r.run.backbone}]
    seeds = {record.seed for record in state.extras.values() if record.kind == "finalist"}
    stages = [one for one in state.stages if _counts(one, seeds, backbone)]
    runs = {
        kind: sum(sum(record.run.seconds.values()) for record in extras if record.kind == kind)
        for kind in ("control", "finalist")
    }
    return Computing(
        trials=sum(sum(trial.seconds.values()) for trial in trials),
        stages=sum(one.seconds for one in stages if math.isfinite(one.seconds)),
        controls=runs["control"],
        finalists=runs["finalist"],
    )


def _counts(stage: StageRecord, seeds: set[int], backbone: str | None) -> bool:
    """Return whether a stage was computed here, for the search, and for this backbone."""
    name, _, seed = stage.name.partition(_SEED)
    _, _, whose = name.partition(" ")[0].partition("/")
    is_of_search = not seed or seed in {str(one) for one in seeds}
    return not stage.cached and is_of_search and (backbone is None or whose in {"", backbone})


class Hours(NamedTuple):
    """Hours that a search has computed.

    Attributes:
        unit: ``core-hour`` or ``GPU-hour``.
        by_kind: The hours, by what took them.
    """

    unit: str
    by_kind: Computing

    @property
    def total(self) -> float:
        """Their sum."""
        return self.by_kind.total

    @property
    def words(self) -> str:
        """Total and parts, such as ``0.21 core-hours (controls 0.03, finalists 0.05)``."""
        beside = {"controls": self.by_kind.controls, "finalists": self.by_kind.finalists}
        parts = ", ".join(f"{name} {value:.2g}" for name, value in beside.items() if value > 0)
        return f"{self.total:.3g} {self.unit}s" + (f" ({parts})" if parts else "")


NO_HOURS = Hours("core-hour", Computing(0.0, 0.0, 0.0, 0.0))


def hours(found: Computing, device: tuple[str, float]) -> Hours:
    """Return seconds as hours of a device.

    Args:
        found: Seconds.
        device: As :func:`trial_device` returns it.
    """
    kind, amount = device
    return Hours(hour_of(kind), found.times(amount / _HOUR_S))


def hour_of(kind: str) -> str:
    """Return the unit of a device's hours: ``core-hour`` for ``CPU``, else ``GPU-hour``."""
    return "core-hour" if kind == "CPU" else f"{kind}-hour"


def trial_device(resources: object, uses: Mapping[str, GpuUse]) -> tuple[str, float]:
    """Return the device whose hours are counted, ``GPU`` or ``CPU``, and how many a trial takes.

    Args:
        resources: Resources of a trial as the study asks for them, in plain data.
        uses: Measured use of a GPU by backbone; empty without one.
    """
    asked: Mapping[str, Any] = resources if isinstance(resources, Mapping) else {}
    gpus, cpus = asked.get("gpus"), asked.get("cpus")
    if _is_amount(gpus):
        return "GPU", float(gpus)
    if uses and gpus in {"auto", "fit"}:
        return "GPU", share(min(map(fitting, uses.values()))) if gpus == "fit" else 1.0
    return "CPU", float(cpus) if _is_amount(cpus) else 1.0


def _is_amount(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < 1e6
