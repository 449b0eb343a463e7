"""The command ``distill-tune optuna``."""

import importlib.util
import json
from typing import Annotated

import typer

from distill_tune.cli.options import Json
from distill_tune.cli.running import console, reporting


def optuna(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="File; otherwise the study's optuna.journal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a study for Optuna's dashboard: running, interrupted or finished."""
    with reporting():
        from distill_tune.records.directory import StudyDirectory
        from distill_tune.records.formatting import path_text
        from distill_tune.tuning.sampling.optuna_journal import open_command, write_journal

        path = write_journal(StudyDirectory(study_dir), out)
        output = console(as_json=as_json)
        for line in (f"written: {path}", "", "next", f"  {open_command(path_text(path))}"):
            output.print(line, markup=False, soft_wrap=True)
        if importlib.util.find_spec("optuna_dashboard") is None:
            output.print("  (to install it: pip install optuna-dashboard)", markup=False)
        if as_json:
            typer.echo(json.dumps({"path": path, "command": open_command(path)}))
