"""Table of results for the terminal, with the same look for all commands."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def result_table(title: str, columns: Iterable[str], *, text: Collection[str]) -> "Table":
    """Return a table without rows; text columns are left-aligned, number columns right-aligned.

    Args:
        title: Title above the table.
        columns: Names of the columns.
        text: Names of the columns that hold text.
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


def below_its_title(table: "Table") -> "RenderableType":
    """Return a table below its title, which may be wider than the table without being broken."""
    from rich.console import Group
    from rich.text import Text

    title, table.title = str(table.title), None
    return Group(Text(title, style="table.title"), table)
