"""``python -m tests.gpu [--minutes 10] [--device cpu] [--steps NAME,...] [--out DIR]``."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from tests.gpu.capture_step import capture
from tests.gpu.device_steps import compilation, memory, searches, waits
from tests.gpu.runner import Check, run_checks, write
from tests.gpu.timing_steps import timing
from tests.gpu.training_steps import (
    checkpoint,
    eigenvalues,
    machine,
    precision,
    repeatability,
    stages,
)

CHECKS = (
    Check(machine, 10, is_for_cpus=True),
    Check(stages, 40, is_for_cpus=True),
    Check(waits, 20),
    Check(precision, 30, is_for_cpus=True),
    Check(repeatability, 20, is_for_cpus=True),
    Check(capture, 30, is_for_cpus=True),
    Check(memory, 40),
    Check(checkpoint, 20, is_for_cpus=True),
    Check(eigenvalues, 15, is_for_cpus=True),
    Check(searches, 120),
    Check(compilation, 150),
    Check(timing, 140, is_for_cpus=True),
)


def main(
    *,
    minutes: Annotated[float, typer.Option(min=0.01, help="When to stop.")] = 10,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    steps: Annotated[str, typer.Option(help="Names, separated by commas; all by default.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of gpu.json and gpu.md.")] = Path(),
) -> None:
    """Check and time what only a GPU can show; exit with 1 if anything failed."""
    names = [check.name for check in CHECKS]
    chosen = steps.split(",") if steps else names
    if unknown := set(chosen) - set(names):
        raise typer.BadParameter(f"got {', '.join(unknown)}, expected some of {', '.join(names)}")
    if device not in {"cuda", "cpu"}:
        raise typer.BadParameter(f"got {device}, expected cuda or cpu")
    # With its number, as trials have it.
    place = torch.device("cuda", 0) if device == "cuda" else torch.device("cpu")
    outcomes = run_checks([one for one in CHECKS if one.name in chosen], place, 60 * minutes)
    write(outcomes, out, place)
    failed = [one.name for one in outcomes if one.status == "failed"]
    typer.echo(f"written: {out / 'gpu.md'}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    raise typer.Exit(bool(failed))


if __name__ == "__main__":
    typer.run(main)
