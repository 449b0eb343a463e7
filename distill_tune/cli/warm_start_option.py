"""The options ``--warm-start`` and ``--warm-start-trials`` of a search."""

from typing import Annotated

import typer

WarmStartFrom = Annotated[
    str | None,
    typer.Option(
        "--warm-start", metavar="STUDY_DIR", help="Try another study's best configurations first."
    ),
]
WarmStartTrials = Annotated[
    int | None,
    typer.Option("--warm-start-trials", min=1, help="How many for each backbone; 3 if not given."),
]
