"""``python -m tests.benchmarks [NAME ...] [--runs N] [--json]``."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.benchmarks import BENCHMARKS, load
from tests.benchmarks.results import FEWEST_RUNS, Result, as_object, table, write_results


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help=", ".join(BENCHMARKS))
    ] = None,
    *,
    runs: Annotated[int, typer.Option(min=1, help="Paired runs, A B A B.")] = FEWEST_RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Run benchmarks (all, if none is named), print their ratios, record them in RESULTS.md."""
    unknown = [name for name in names or [] if name not in BENCHMARKS]
    if unknown:
        raise typer.BadParameter(f"got {unknown[0]!r}, expected one of {', '.join(BENCHMARKS)}")
    console = Console(stderr=as_json, highlight=False)
    results: list[Result] = []
    for name in names or BENCHMARKS:
        console.print(f"{name} ...")
        with tempfile.TemporaryDirectory(prefix=f"benchmark-{name}-") as scratch:
            found = load(name)(runs, Path(scratch))
        if runs >= FEWEST_RUNS:
            write_results(name, f"python -m tests.benchmarks {name} --runs {runs}", found)
        results += found
    console.print(table(results), soft_wrap=True)
    if runs < FEWEST_RUNS:
        console.print(f"fewer than {FEWEST_RUNS} runs: not recorded in RESULTS.md")
    if as_json:
        typer.echo(json.dumps(as_object(results)))


if __name__ == "__main__":
    typer.run(main)
