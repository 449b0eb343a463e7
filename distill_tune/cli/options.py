"""Options that several commands have."""

from typing import Annotated

import typer

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the file; repeatable."),
]
Moved = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="data.root=PATH",
        help="Where the same images are now, if they have moved.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object last, on stdout.")]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda or cuda:1; otherwise a GPU if there is one."),
]
