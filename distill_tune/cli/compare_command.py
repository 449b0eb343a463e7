"""The command ``distill-tune compare``."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from distill_tune.cli.options import Json
from distill_tune.cli.running import console, reporting

if TYPE_CHECKING:
    from rich.console import RenderableType

    from distill_tune.report.comparison.findings import Comparison


def compare(
    study_dirs: Annotated[
        list[str], typer.Argument(metavar="STUDY_DIR...", help="Two studies or more.")
    ],
    *,
    out: Annotated[
        str | None, typer.Option(metavar="DIR|URI", help="Where to write comparison.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare studies: best, confirmed, cost, and what differs; running or finished."""
    with reporting():
        from distill_tune.report.comparison import comparison_json, write_comparison
        from distill_tune.report.comparison.findings import comparison

        found = comparison(study_dirs)
        output = console(as_json=as_json)
        if not as_json:
            for part in _view(found):
                output.print(part)
        written = write_comparison(found, out) if out is not None else ()
        for path in written:
            output.print(f"written: {path}", markup=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps(comparison_json(found) | {"written": list(written)}))


def _view(found: "Comparison") -> "Iterator[RenderableType]":
    from rich.text import Text

    from distill_tune.report.comparison import course
    from distill_tune.report.comparison.tables import comparison_tables
    from distill_tune.terminal.result_table import result_table

    for one in comparison_tables(found, is_narrow=True):
        head, *rows = one.rows
        table = result_table(one.title, map(str, head), text=one.text)
        for row in rows:
            # As Text, because a value such as "[a]" is not markup.
            table.add_row(*map(Text, row))
        yield table
    yield ""
    if found.course is not None:
        yield Text(course.words(found.course))
    for pair in found.pairs:
        yield Text(f"{pair.sentence}.")
    for remark in found.remarks:
        yield Text(f"note: {remark}", style="dim")
