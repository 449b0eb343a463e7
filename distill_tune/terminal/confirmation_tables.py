"""Results of a confirmation for the terminal: the poster's two tables, and the verdicts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from distill_tune.confirmation.evidence.class_evidence import class_rows, class_title
from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.confirmation.evidence.tables import (
    PROBABILITY,
    Rows,
    arms_rows,
    backbones_rows,
    price_title,
    prices_rows,
    value_line,
)
from distill_tune.records.words.metric_names import title_with_unit
from distill_tune.terminal.result_table import below_its_title, result_table

if TYPE_CHECKING:
    from rich.console import RenderableType

_BREAKABLE = ("arm", "class", "test", "95 %")
"""Columns that may wrap on a narrow terminal."""


def confirmation_view(found: Confirmation) -> "Iterator[RenderableType]":
    """Yield the tables and sentences of a confirmation for the terminal."""
    from rich.markup import escape

    shown = f"test {title_with_unit(found.metric)}, mean ± standard deviation over seeds"
    yield _table(shown, backbones_rows(found))
    for one in found.backbones:
        yield _table(
            f"{one.backbone} (gain: over the baseline; over it: GAN distillation's)",
            _narrow(arms_rows(found, one)),
        )
        if prices := prices_rows(one):
            yield _table(f"{one.backbone}: {price_title(found.metric)}", prices)
        if classes := class_rows(found, one):
            yield _table(class_title(found, one), classes)
    yield ""
    for one in found.backbones:
        yield escape(value_line(found, one))
    yield from (
        f"[bold]{escape(one.backbone)}[/bold]: {escape(one.verdict)}." for one in found.backbones
    )
    yield f"The test split was read for {found.num_readings} trained models."
    yield from (f"note: {escape(text)}" for text in found.remarks)


def _table(title: str, rows: Rows) -> "RenderableType":
    from rich.text import Text

    head, *body = rows
    table = result_table(title, head, text=head[:1])
    for column in table.columns:
        # Columns whose text would break within words must not wrap.
        column.no_wrap = column.header not in _BREAKABLE
    table.columns[0].min_width = len("augmentation")
    for row in body:
        table.add_row(*map(Text, row))
    return below_its_title(table)


def _narrow(rows: Rows) -> Rows:
    """Return a table of arms without the column that does not fit 80 columns."""
    left_out = rows[0].index(PROBABILITY)
    return [[*row[:left_out], *row[left_out + 1 :]] for row in rows]
