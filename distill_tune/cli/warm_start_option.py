"""``--warm-start``: a search that begins with what another study found best."""

from typing import Annotated

import typer

WarmStartFrom = Annotated[
    str | None,
    typer.Option(
        "--warm-start", metavar="STUDY_DIR", help="Try the best configurations of another first."
    ),
]
WarmStartTrials = Annotated[
    int | None,
    typer.Option("--warm-start-trials", min=1, help="How many for each backbone; 3 if not given."),
]
