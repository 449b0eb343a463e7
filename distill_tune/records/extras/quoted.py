"""Value to quote of a winner: with finalists, the mean over their seeds."""

from typing import NamedTuple

from distill_tune.records.formatting import counted, with_spread
from distill_tune.records.trials import StudyState, TrialRecord, best, best_of_one_seed


class QuotedValue(NamedTuple):
    """Value to quote of a trial.

    Attributes:
        value: Mean over the seeds of a finalist; of any other trial the value of its one seed. None
            if there is none.
        spread: Standard deviation over the seeds; None for fewer than two.
        num_seeds: Number of seeds that have a value.
        first_seed_value: Value on the seed of the search.
        first_seed_choice: Name of the trial that the first seed alone would have chosen; None
            without finalists.
    """

    value: float | None
    spread: float | None
    num_seeds: int
    first_seed_value: float | None
    first_seed_choice: str | None

    @property
    def words(self) -> str:
        """Value and spread, such as ``0.8120 ± 0.0060``; ``-`` without a value."""
        return with_spread(self.value, self.spread)

    @property
    def origin(self) -> str:
        """``mean of 3 seeds``; empty for the value of one seed."""
        is_mean = self.first_seed_choice is not None
        return f"mean of {counted(self.num_seeds, 'seed')}" if is_mean else ""

    @property
    def sentence(self) -> str:
        """Words and origin, such as ``0.8120 ± 0.0060 (mean of 3 seeds)``."""
        return f"{self.words} ({self.origin})" if self.origin else self.words


def quoted(state: StudyState, trial: TrialRecord) -> QuotedValue:
    """Return the value to quote of a trial."""
    found = state.finalists.get(trial.backbone, ())
    one = next((one for one in found if one.trial == trial.number), None)
    if one is None:
        return QuotedValue(trial.value, None, int(trial.value is not None), trial.value, None)
    alone = best_of_one_seed(state, trial.backbone)
    num_seeds = len(one.values) - one.num_failed
    choice = None if alone is None else alone.name
    return QuotedValue(one.mean, one.spread, num_seeds, trial.value, choice)


def quoted_values(state: StudyState) -> dict[str, QuotedValue]:
    """Return the value to quote of every backbone's winner, by name of the backbone."""
    winners = {backbone: best(state, backbone) for backbone in state.backbones}
    return {name: quoted(state, one) for name, one in winners.items() if one is not None}
