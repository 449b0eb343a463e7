"""A search replayed over a recorded table: our sampler and scheduler, without Ray and training.

Two trials run at a time, as on two cores, and every joint epoch takes as long as any other; time
is counted in joint epochs. The sampler and the scheduler hear what Ray would tell them, in Ray's
order.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.sections import SamplerName
from distill_tune.study.space import Choice, Dimension
from distill_tune.tuning.sampling.proposals import SamplerPlan, raw_point
from distill_tune.tuning.sampling.sampler import SamplerPerBackbone
from distill_tune.tuning.scheduler import AshaPerBackbone
from tests.benchmarks.recorded_table import RecordedTable, from_unit

NUM_SLOTS = 2
_ENOUGH_TRIALS = 100_000


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to search; every way tries the default configuration first.

    Attributes:
        sampler: As in ``search.sampler``.
        min_epochs: ASHA's first rung; None prunes nothing.
        reduction_factor: ASHA's.
        num_startup_trials: Random ones before the sampler looks at the values.
    """

    sampler: SamplerName
    min_epochs: int | None
    reduction_factor: float = 3
    num_startup_trials: int = 5


@dataclass
class Played:
    """A trial of a replay.

    Attributes:
        number: In the order of the starts.
        point: Of the table, which answered for the proposal.
        costs: What the whole search had spent at the end of each of its epochs, in joint epochs.
        bests: Its best seen value up to each of them.
        status: What became of it.
    """

    number: int
    point: int
    costs: list[float] = field(default_factory=list)
    bests: list[float] = field(default_factory=list)
    status: Literal["running", "pruned", "complete"] = "running"


class Replay:
    """One search; the same seed gives the same search.

    Args:
        table: What answers for the proposals.
        arm: How to search.
        seed: Of the sampler.
    """

    def __init__(self, table: RecordedTable, arm: Arm, seed: int) -> None:
        self._table, self.trials = table, list[Played]()
        self._clock: list[tuple[float, int]] = []
        dimensions = three_values(table) if arm.sampler == "grid" else table.dimensions
        self._sampler = SamplerPerBackbone(
            SamplerPlan(
                backbones=("table",),
                dimensions=dimensions,
                num_trials=_ENOUGH_TRIALS,
                min_epochs=arm.min_epochs or table.num_epochs,
                max_epochs=table.num_epochs,
                sampler=arm.sampler,
                seed=seed,
                num_startup_trials=arm.num_startup_trials,
                points_to_evaluate=(raw_point(dimensions, table.params[0]),),
            )
        )
        self._scheduler = AshaPerBackbone(
            min_epochs=arm.min_epochs or table.num_epochs,
            max_epochs=table.num_epochs,
            reduction_factor=arm.reduction_factor,
        )

    def run(self, budget: float) -> None:
        """Search until ``budget`` joint epochs are spent, starts of trials included."""
        for _ in range(NUM_SLOTS):
            self._start(0.0)
        while self._clock[0][0] * NUM_SLOTS <= budget:
            time, number = heapq.heappop(self._clock)
            trial = self.trials[number]
            self._tell(trial, time * NUM_SLOTS)
            if trial.status == "running":
                heapq.heappush(self._clock, (time + 1, number))
            else:
                self._start(time)

    def incumbent(self, cost: float) -> Played | None:
        """Return the trial that a search ended after ``cost`` epochs would call its winner.

        As :func:`distill_tune.records.trials.best`: complete ones come first, then the higher
        value, then the lower number.
        """
        rivals = [(trial, sum(at <= cost for at in trial.costs)) for trial in self.trials]
        ranked = [
            (epochs == self._table.num_epochs, trial.bests[epochs - 1], -trial.number)
            for trial, epochs in rivals
            if epochs
        ]
        return self.trials[-max(ranked)[2]] if ranked else None

    def _start(self, time: float) -> None:
        number = len(self.trials)
        proposal = self._sampler.suggest(str(number))
        assert isinstance(proposal, dict), f"trials are never out: {proposal}"
        self.trials.append(Played(number, self._table.nearest(proposal["params"])))
        heapq.heappush(self._clock, (time + self._table.start_epochs + 1, number))

    def _tell(self, trial: Played, cost: float) -> None:
        """End the trial's next epoch, and the trial where the scheduler says so."""
        epoch = len(trial.bests) + 1
        trial.costs.append(cost)
        trial.bests.append(float(self._table.curves[trial.point, 0, :epoch].max()))
        result = {"training_iteration": epoch, OBJECTIVE: trial.bests[-1]}
        # The scheduler reads nothing else of Ray's trial.
        rays: Any = SimpleNamespace(config={"number": trial.number, "backbone": "table"})
        is_last = epoch == self._table.num_epochs
        stops = self._scheduler.on_trial_result(None, rays, result) == self._scheduler.STOP
        if not is_last and not stops:
            self._sampler.on_trial_result(str(trial.number), result)
            return
        trial.status = "complete" if is_last else "pruned"
        self._scheduler.on_trial_complete(None, rays, result)
        self._sampler.on_trial_complete(str(trial.number), result)


def incumbents(replay: Replay, budget: float, shares: tuple[float, ...]) -> Iterator[Played]:
    """Yield a replay's winner after each share of its budget.

    Raises:
        ValueError: A share is too small for a single epoch.
    """
    for share in shares:
        winner = replay.incumbent(share * budget)
        if winner is None:
            raise ValueError(f"got {share:g} of {budget:g} epochs, expected one whole epoch")
        yield winner


def three_values(table: RecordedTable) -> dict[str, Dimension]:
    """Return a grid over a table: of each dimension a low value, the default and a high one."""
    size = len(table.dimensions)
    low, high = (from_unit(table.dimensions, np.full(size, share)) for share in (1 / 6, 5 / 6))
    default = table.params[0]
    return {path: Choice((low[path], default[path], high[path])) for path in table.dimensions}
