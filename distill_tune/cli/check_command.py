"""The command ``distill-tune check``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from distill_tune.cli.new_command import DataFields
from distill_tune.cli.options import Json
from distill_tune.cli.running import console, reporting


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A folder of class folders, an .npz, or a kind's name."
        ),
    ],
    *,
    assignments: DataFields = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write a contact sheet and check.json."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for what is wrong with your images: copies, conflicting labels, unreadable files.

    The exit code is 2 if no search could run.
    """
    with reporting(data="DATA"):
        from rich.text import Text

        from distill_tune.terminal.data_check_view import survey_view, survey_warnings
        from distill_tune.terminal.waiting import patience
        from distill_tune.tuning.draft.data_check import survey_json, surveyed, write_check

        output = console(as_json=as_json)
        with patience(output, "reading the images") as say:
            found = surveyed(data, assignments or [], say)
        for part in survey_view(found):
            output.print(part, soft_wrap=isinstance(part, Text))
        for text in survey_warnings(found):
            output.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
        for path in write_check(found, out) if out is not None else ():
            output.print(f"written: {path}", markup=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps(survey_json(found)))
        if found.error is not None:
            raise found.error
