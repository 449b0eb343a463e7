"""``--address ray://HOST:PORT``: the command itself goes to the cluster, through Ray's client."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from distill_tune.errors import InputError
from distill_tune.reading import read_text
from distill_tune.search.environment import CLIENT

if TYPE_CHECKING:
    from distill_tune.search.client import Said


def go_there(address: str | None, *, space: Path | None = None, **places: str | None) -> None:
    """Run this process's command in the cluster and exit with its status, if the address says so.

    Args:
        address: Of the cluster.
        space: The file of the study, which goes along.
        **places: Option or argument to a path or URI that has to be one of the cluster's.

    Raises:
        InputError: A place is relative, no file is there or no cluster.
        RayError: The connection was lost.
    """
    if address is None or not address.startswith(CLIENT):
        return
    for name, place in places.items():
        if place is not None and "://" not in place and not Path(place).is_absolute():
            expected = (
                f"an absolute path or a URI such as s3:// with --address {CLIENT}: the command "
                "runs on the cluster's head"
            )
            raise InputError(name, got=place, expected=expected)
    arguments, files = without(sys.argv[1:], "--address"), {}
    if space is not None:
        files[space.name] = read_text(str(space))
        arguments = [*without(arguments, "--space"), "--space", space.name]
    from distill_tune.search.client import Command, run_in_cluster

    width = shutil.get_terminal_size().columns
    command = Command(arguments, files, {"COLUMNS": str(width), "PYTHONUNBUFFERED": "1"})
    raise typer.Exit(run_in_cluster(address, command, _show))


def without(arguments: Sequence[str], option: str) -> list[str]:
    """Return arguments without an option that takes a value, which may follow a ``=``."""
    kept, is_value = [], False
    for argument in arguments:
        is_option = argument == option
        if not (is_value or is_option or argument.startswith(f"{option}=")):
            kept.append(argument)
        is_value = is_option and not is_value
    return kept


def _show(said: "Said") -> None:
    for stream, news in ((sys.stdout, said.stdout), (sys.stderr, said.stderr)):
        if news:
            stream.buffer.write(news)
            stream.flush()
