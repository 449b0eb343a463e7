"""Options shared by several commands, and the option names of function parameters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

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

OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "allow_changed=True": "--allow-changed",
        "assignments": "--set",
        "classes": "--class",
        "kind": "--format",
        "resume=True": "--resume",
        "time_budget_s": "--time-budget",
    }
)
"""Parameters whose command-line option has another name, with that option."""


def option(parameter: str) -> str:
    """Return the option for a parameter that an error names, such as ``--num-trials``."""
    return OPTIONS.get(parameter, f"--{parameter.replace('_', '-')}")
