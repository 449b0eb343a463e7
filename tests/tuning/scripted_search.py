"""A search without Ray whose trials end as scripted, and the proposals that it got when recorded.

``python -m tests.tuning.scripted_search`` records what TPE proposes today. Do so only if Optuna's
own proposals have changed: what was recorded is what resumed studies rely on.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.interfaces import TrialStatus
from distill_tune.tuning.sampling.proposals import SamplerPlan, raw_point
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from tests.tuning.plans import MAX_EPOCHS, SPACE, plan, result

RECORDED = Path(__file__).with_name("recorded_proposals.json")

Point = Mapping[str, Any]

_DEFAULTS = {"joint.margin": 0.3, "joint.gan_lr": 5e-5, "joint.refresh": 2, "gan.steps": 9}
_WARM_START = ({"joint.margin": 0.45, "joint.gan_lr": 0.0, "gan.steps": 2}, {"joint.refresh": 5})


class End(NamedTuple):
    """How a trial ends.

    Attributes:
        epochs: Of which the last one comes with the end.
        failure: Its result says so.
        lost: The worker was, and there is no result.
    """

    epochs: int = MAX_EPOCHS
    failure: str = ""
    lost: bool = False


_ENDS = (
    End(),
    End(2),
    End(1, "diverged"),
    End(),
    End(2),
    End(2, lost=True),
    End(),
    End(3, "collapsed"),
    End(2),
    End(MAX_EPOCHS, "not finite"),
    End(1, "out_of_memory"),
)


def scripted_plan(seed: int = 0, num_backbones: int = 1, **more: Any) -> SamplerPlan:
    """Return a plan with defaults, of which one lies outside the space, and a warm start."""
    space = more.get("dimensions", SPACE)
    given: dict[str, Any] = {
        "backbones": ("resnet50", "alexnet")[:num_backbones],
        "num_trials": 16 * num_backbones,
        "seed": seed,
        "points_to_evaluate": (raw_point(space, _DEFAULTS),),
        "first_points": {"resnet50": tuple(raw_point(space, point) for point in _WARM_START)},
    }
    return plan(**(given | more))


class Search:
    """A search of a plan, so many trials at a time.

    Args:
        plan: What is searched.
        slots: Trials at a time.
    """

    def __init__(self, plan: SamplerPlan, slots: int = 1) -> None:
        self._plan, self._slots = plan, slots
        self.sampler = SamplerPerBackbone(plan)
        self._running: dict[int, str] = {}
        self._num_resumed = 0

    def run(self, stops: Collection[int] = ()) -> list[Point]:
        """Return the raw values of every proposal.

        Args:
            stops: Trials during which the search is killed and resumed.
        """
        proposals: list[Point] = []
        for number in range(self._plan.num_trials):
            trial_id = self._start(number)
            proposals.append(self.sampler.raw(trial_id))
            self._report(number, 1)
            if number in stops:
                self._resume()
            if len(self._running) == self._slots:
                self._end(min(self._running))
        for number in sorted(self._running):
            self._end(number)
        return proposals

    def _start(self, number: int) -> str:
        trial_id = f"{number}-{self._num_resumed}"
        proposal = self.sampler.suggest(trial_id)
        assert isinstance(proposal, dict)
        assert proposal["number"] == number
        self._running[number] = trial_id
        return trial_id

    def _resume(self) -> None:
        records = [replace(past, trial_id="") for past in self.sampler.history()]
        self.sampler = SamplerPerBackbone(self._plan)
        self.sampler.replay(reversed(records))
        self._num_resumed += 1
        for number in sorted(self._running):
            self._start(number)
            # The checkpoint was older than the kill.
            self._report(number, 1)

    def _report(self, number: int, epoch: int) -> None:
        if epoch < _end_of(number).epochs:
            trial_id = self._running[number]
            value = _value(self.sampler.raw(trial_id), epoch)
            self.sampler.on_trial_result(trial_id, result(epoch, value))

    def _end(self, number: int) -> None:
        end = _end_of(number)
        for epoch in range(2, end.epochs):
            self._report(number, epoch)
        trial_id = self._running.pop(number)
        if end.lost:
            self.sampler.on_trial_complete(trial_id, error=True)
            return
        value = _value(self.sampler.raw(trial_id), end.epochs)
        value = math.nan if end.failure == "not finite" else value
        failed = {"failure": end.failure} if end.failure not in {"", "not finite"} else {}
        self.sampler.on_trial_complete(trial_id, result(end.epochs, value, **failed))


def status_of(number: int) -> TrialStatus:
    """Return what becomes of a trial."""
    end = _end_of(number)
    if end.failure or end.lost:
        return "failed"
    return "complete" if end.epochs == MAX_EPOCHS else "pruned"


def _end_of(number: int) -> End:
    return _ENDS[number % len(_ENDS)]


def _value(raw: Point, epoch: int) -> float:
    worth = 0.9 - (raw.get("joint.margin", 0.5) - 0.6) ** 2
    worth -= 0.02 * abs(math.log10(raw.get("joint.gan_lr", 1e-5)) + 5)
    worth -= 0.01 * (raw.get("joint.refresh", 1) == 1) + 0.005 * raw.get("gan.steps", 1)
    return float(worth * (1 - 0.5**epoch))


class Case(NamedTuple):
    """A recorded search: the arguments of its plan, of :class:`Search` and of its ``run``."""

    seed: int
    num_backbones: int
    slots: int
    stops: tuple[int, ...]

    def run(self) -> list[Point]:
        """Return what is proposed now."""
        return Search(scripted_plan(self.seed, self.num_backbones), self.slots).run(self.stops)


CASES = tuple(
    Case(seed, num_backbones, slots, stops)
    for seed in range(3)
    for num_backbones, slots, stops in ((1, 1, ()), (2, 1, (9, 21)), (2, 2, (14,)))
)


def recorded() -> Iterator[list[Point]]:
    """Yield what each case was proposed when it was recorded."""
    for rows in json.loads(RECORDED.read_text()):
        yield [dict(zip(SPACE, row, strict=True)) for row in rows]


def main() -> None:
    rows = [[list(point.values()) for point in case.run()] for case in CASES]
    lines = ",\n".join(json.dumps(proposals) for proposals in rows)
    RECORDED.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
