"""The table in which the terminal shows results: one look for all commands."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def result_table(title: str, columns: Iterable[str], *, text: Collection[str]) -> "Table":
    """Return a table without rows; columns of text stand left, those of numbers right.

    Args:
        title: Above it.
        columns: Their names.
        text: Which of them hold text.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"\n{title}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        table.add_column(column, justify="left" if column in text else "right", overflow="fold")
    return table
