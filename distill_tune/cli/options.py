"""Options shared by several commands, and the option names of function parameters."""

from collections.abc import Iterable, Mapping
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
Changed = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a field that no result depends on: data.root, search.stop.RULE; repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object last, on stdout.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py|PACKAGE",
        help="Run code with parts of your own; name only what you trust. Repeatable.",
    ),
]
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
        "plugins": "--plugin",
        "resume=True": "--resume",
        "time_budget_s": "--time-budget",
    }
)
"""Parameters whose command-line option has another name, with that option."""


def option(parameter: str) -> str:
    """Return the option for a parameter that an error names, such as ``--num-trials``."""
    return OPTIONS.get(parameter, f"--{parameter.replace('_', '-')}")


def with_plugins_first(arguments: Iterable[str]) -> list[str]:
    """Return arguments with every ``--plugin FILE`` before the command, wherever it stands."""
    first: list[str] = []
    others: list[str] = []
    is_value = False
    for argument in arguments:
        is_option = argument == "--plugin" or argument.startswith("--plugin=")
        (first if is_option or is_value else others).append(argument)
        is_value = argument == "--plugin"
    return [*first, *others]
