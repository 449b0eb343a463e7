"""Tables of the page: rows of cells, each with a text and a sort key."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from distill_tune.confirmation.evidence.findings import BackboneEvidence, Confirmation
from distill_tune.confirmation.evidence.tables import (
    arms_rows,
    backbones_rows,
    price_title,
    prices_rows,
)
from distill_tune.records.formatting import duration
from distill_tune.records.tables import flat
from distill_tune.records.trials import TrialRecord
from distill_tune.records.words.metric_names import column_title, title_with_unit
from distill_tune.report.axes import real
from distill_tune.report.study_records import Source


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: Displayed text.
        key: Sort key.
        kind: CSS class: ``number``, an outcome, or empty.
        tip: Tooltip.
    """

    text: str
    key: str
    kind: str = ""
    tip: str = ""


class PageTable(NamedTuple):
    """A table of the page.

    Attributes:
        title: Caption.
        head: Names of the columns.
        is_sortable: Whether clicking a column name sorts the rows.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_sortable: bool = False


def trials_table(source: Source) -> PageTable:
    """Return the table of all trials, by number."""
    several = len(source.state.backbones) > 1
    names = [axis.title for axis in source.axes.values()]
    value = column_title(source.plan.metric)
    head = ("#", *(["backbone"] if several else []), "state", value, "epochs", *names, "time")
    trials = source.state.trials.values()
    rows = tuple(tuple(_trial_row(source, trial, several=several)) for trial in trials)
    return PageTable(f"{len(rows)} trials", head, rows, is_sortable=True)


def _trial_row(source: Source, trial: TrialRecord, *, several: bool) -> Iterator[Cell]:
    winner = source.best(trial.backbone)
    is_best = winner is not None and winner.number == trial.number
    yield _number(trial.number, str(trial.number))
    if several:
        yield Cell(trial.backbone, trial.backbone)
    outcome = source.outcome(trial)
    reason = f" ({trial.reason})" if trial.reason else ""
    mark = " · best" if is_best else ""
    yield Cell(f"{outcome}{reason}{mark}", outcome, outcome, trial.detail)
    yield _number(trial.value, "" if trial.value is None else f"{trial.value:.4f}")
    yield _number(trial.epochs, str(trial.epochs))
    params = flat(trial.params)
    for path in source.axes:
        yield _param(params.get(path))
    seconds = sum(trial.seconds.values())
    yield _number(seconds, duration(seconds))


def _param(value: object) -> Cell:
    found = real(value)
    if found is not None:
        return _number(found, f"{found:.3g}")
    return Cell("" if value is None else str(value), str(value))


def _number(value: float | None, text: str) -> Cell:
    return Cell(text, "" if value is None else repr(value), "number")


def confirmation_tables(found: Confirmation) -> tuple[PageTable, ...]:
    """Return one table of all backbones, then one of arms, and one of prices, for each."""
    shown = f"Test {title_with_unit(found.metric)}"
    first = _table(f"{shown}, mean ± standard deviation over seeds", backbones_rows(found))
    return (first, *(table for one in found.backbones for table in _of_backbone(found, one)))


def _of_backbone(found: Confirmation, one: BackboneEvidence) -> Iterator[PageTable]:
    """Yield the arms of a backbone, then the prices of their gains, if they are known."""
    over = "gain: over the baseline; over it: GAN distillation's"
    yield _table(f"{one.backbone}, trial {one.trial} ({over})", arms_rows(found, one))
    if prices := prices_rows(one):
        yield _table(f"{one.backbone}: {price_title(found.metric)}", prices)


def _table(title: str, rows: Iterable[list[str]]) -> PageTable:
    head, *body = rows
    cells = tuple(
        tuple(Cell(text, text, "number" if column else "") for column, text in enumerate(row))
        for row in body
    )
    return PageTable(title, tuple(head), cells)
