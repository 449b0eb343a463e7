"""Importance of params: Optuna's PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023)."""

from typing import NamedTuple

from markupsafe import Markup

from distill_tune.report.drawing import Bar, bars
from distill_tune.report.study_records import Source
from distill_tune.tuning.sampling.importances import LEAST, Importance, importances

TITLE = "What mattered"


class Importances(NamedTuple):
    """Importances of the params for a backbone.

    Attributes:
        num_complete: Number of trials that reached the last epoch; only these are used.
        rows: Params that varied, most important first; empty for fewer than ``LEAST`` trials.
    """

    num_complete: int
    rows: tuple[Importance, ...]


def info(source: Source, backbone: str) -> Importances | None:
    """Return the importances for a backbone; None if nothing was searched."""
    dimensions = source.plan.dimensions
    trials = source.trials(backbone)
    complete = [t for t in trials if t.status == "complete" and t.value is not None]
    if not dimensions or not trials:
        return None
    rows: list[Importance] = []
    if len(complete) >= LEAST:
        rows = importances(complete, dimensions)
    titles = {path: axis.title for path, axis in source.axes.items()}
    named = (row._replace(param=titles.get(row.param, row.param)) for row in rows)
    return Importances(len(complete), tuple(named))


def draw(found: Importances) -> Markup:
    """Draw a bar for each param, with a mark for its share by chance."""
    return (
        bars(Bar(row.param, row.share, f"{row.share:.2f}", row.by_chance) for row in found.rows)
        if found.rows
        else Markup()
    )


def words(found: Importances) -> str:
    """Return in words what the figure shows."""
    if not found.rows:
        return f"Too few complete trials: n = {found.num_complete}, at least {LEAST} are needed."
    shown = ", ".join(f"{row.param} {row.share:.2f}" for row in found.rows)
    beyond = [row.param for row in found.rows if row.share > row.by_chance]
    listed = f"Above chance: {', '.join(beyond)}." if beyond else "None is above chance."
    return (
        f"Share of each param in what separates the best trials from the others (PED-ANOVA, n = "
        f"{found.num_complete} complete trials): {shown}. {listed} (The mark on a bar: the share "
        "that the param has in one of 20 shuffles of the values.)"
    )
