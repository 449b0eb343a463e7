"""The command ``distill-tune report``."""

import json
from typing import Annotated

import typer

from distill_tune.cli.options import Json
from distill_tune.cli.running import console, reporting


def report(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    out: Annotated[
        str | None, typer.Option(metavar="DIR|URI", help="Where the files go; otherwise the study.")
    ] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write what a study found as one page, report.html: running, interrupted or finished."""
    with reporting():
        from distill_tune.records.directory import StudyDirectory
        from distill_tune.report import write_report

        written = write_report(StudyDirectory(study_dir), out)
        for path in written:
            console(as_json=as_json).print(f"written: {path}", markup=False, soft_wrap=True)
        if is_opened:
            typer.launch(written.page)
        if as_json:
            typer.echo(json.dumps(written._asdict()))
