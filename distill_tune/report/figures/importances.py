"""Which params matter: PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), as Optuna has it."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from distill_tune.records.tables import flat
from distill_tune.records.trials import TrialRecord
from distill_tune.report.drawing import Bar, bars
from distill_tune.report.source import Source

if TYPE_CHECKING:
    import optuna

    from distill_tune.study.dimensions import Dimension

TITLE = "What mattered"

LEAST = 20
"""Complete trials that it takes: in simulations with four params, of which one matters most, that
one came first in 60 of 100 searches with 6 trials, in 82 with 10 and in 96 with 20; with as much
noise as signal in 77 with 20."""

_TOP = 5
_SHUFFLES = 20


class Importance(NamedTuple):
    """A param.

    Attributes:
        share: Of what tells good trials from others, in [0, 1]; all shares add up to 1.
        by_chance: What it has in one of 20 shuffles of the values, in the same unit, at most 1.
    """

    param: str
    share: float
    by_chance: float


class Importances(NamedTuple):
    """The params of a backbone.

    Attributes:
        num_complete: Trials that got to the last epoch; only they are looked at.
        rows: Those that varied, the most important first; none for fewer than ``LEAST`` trials.
    """

    num_complete: int
    rows: tuple[Importance, ...]


def info(source: Source, backbone: str) -> Importances | None:
    """Return what mattered for a backbone; None where nothing was searched."""
    dimensions = source.terms.dimensions
    trials = source.trials(backbone)
    complete = [t for t in trials if t.status == "complete" and t.value is not None]
    if not dimensions or not trials:
        return None
    rows: list[Importance] = []
    if len(complete) >= LEAST:
        rows = _rows(complete, dimensions)
    titles = {path: axis.title for path, axis in source.axes.items()}
    named = (row._replace(param=titles.get(row.param, row.param)) for row in rows)
    return Importances(len(complete), tuple(named))


def _rows(complete: list[TrialRecord], dimensions: "dict[str, Dimension]") -> list[Importance]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = _study(complete, dimensions)
        trials = study.get_trials(deepcopy=False)
        values = [trial.value or 0.0 for trial in trials]
        # Of a param that never varied, it would take the prior for what the trials tell.
        params = [path for path in dimensions if len({t.params[path] for t in trials}) > 1]
        if len(values) < LEAST or not params:
            return []
        found = _divergences(study, params, values)
        rng = np.random.default_rng(0)
        chance = [
            _divergences(study, params, rng.permutation(values).tolist()) for _ in range(_SHUFFLES)
        ]
    total = sum(found.values()) or 1.0
    shuffled = {name: sorted(shares[name] for shares in chance)[-2] for name in found}
    return [
        Importance(name, value / total, min(1.0, shuffled[name] / total))
        for name, value in found.items()
    ]


def _study(complete: list[TrialRecord], dimensions: "dict[str, Dimension]") -> "optuna.Study":
    """Return the trials as Optuna has them; those that do not fit the space are left out."""
    import optuna

    from distill_tune.tuning.sampling.distributions import distribution, encode

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {path: distribution(dimension) for path, dimension in dimensions.items()}
    study = optuna.create_study(direction="maximize")
    for trial in complete:
        values: dict[str, Any] = flat(trial.params)
        try:
            raw = {path: encode(dimension, values[path]) for path, dimension in dimensions.items()}
            study.add_trial(
                optuna.trial.create_trial(params=raw, distributions=space, value=trial.value)
            )
        except (KeyError, ValueError, TypeError, OverflowError):
            continue
    return study


def _divergences(
    study: "optuna.Study", params: list[str], values: Sequence[float]
) -> dict[str, float]:
    """Return how far the best trials differ from all in each param if they had these values."""
    from optuna.importance import PedAnovaImportanceEvaluator

    # At least five good trials, as its authors advise.
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _TOP / len(values)))
    return evaluator.evaluate(
        study, params=params, target=lambda trial: -float(values[trial.number])
    )


def draw(found: Importances) -> Markup:
    """Draw a bar for each param, and on it what chance gives."""
    return (
        bars(Bar(row.param, row.share, f"{row.share:.2f}", row.by_chance) for row in found.rows)
        if found.rows
        else Markup()
    )


def words(found: Importances) -> str:
    """Return in words what the figure shows."""
    if not found.rows:
        return (
            f"Too few: n = {found.num_complete}; params are told apart from {LEAST} complete "
            "trials on."
        )
    shown = ", ".join(f"{row.param} {row.share:.2f}" for row in found.rows)
    beyond = [row.param for row in found.rows if row.share > row.by_chance]
    told = (
        f"More than chance gives: {', '.join(beyond)}."
        if beyond
        else "None is more than chance gives."
    )
    return (
        f"Share of each param in what tells the best trials from the others (PED-ANOVA, n = "
        f"{found.num_complete} complete trials): {shown}. {told} (The mark on a bar: what it has "
        "in one of 20 shuffles of the values.)"
    )
