"""The options of a search that uses other studies."""

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
ContinueFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--continue-from",
        metavar="STUDY_DIR",
        help="Count the trials of a study that differs in its space only; repeatable.",
    ),
]
