"""Records ``quality_table.csv``: ``python -m tests.benchmarks.record_table [--points N]``.

Two processes of one thread each run the points of the design in their order, each on every seed.
Rows are appended as they come and what is there already is skipped, so it may be stopped at any
time and started again. After a change of ``quality.yaml`` delete the table first.
"""

import csv
import multiprocessing
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from distill_tune.study import Study
from tests.benchmarks.quality_table import (
    SEEDS,
    TABLE_FILE,
    Params,
    Row,
    design,
    read_rows,
    read_study,
)

NUM_PROCESSES = 2


class Run(NamedTuple):
    """A run to be made: a point of the design, a seed, and the values there."""

    point: int
    seed: int
    params: Params


class Recorder:
    """Runs trials in one process, with the stages that all trials of a seed share."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._images: ImageData = study.data.load()
        self._shared: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    def run(self, run: Run) -> Row:
        """Return what became of a run."""
        classifier, warmup = self._stages(run.seed)
        started = time.process_time()
        trial = self._trial(run.seed, run.params)
        trial.adopt("classifier", classifier)
        trial.adopt("warmup", warmup)
        values: list[float] = []
        begun = started
        for report in trial.run():
            if report.stage == "joint":
                values.append(report.metrics["val/accuracy"])
            else:
                begun = time.process_time()
        return Row(
            point=run.point,
            seed=run.seed,
            params=run.params,
            start_s=begun - started,
            epoch_s=(time.process_time() - begun) / len(values),
            values=tuple(values),
        )

    def _trial(self, seed: int, params: Params) -> Trial:
        config = self._study.trial_config(self._study.backbones[0].name, params)
        return Trial(config.model_copy(update={"seed": seed}), self._images, torch.device("cpu"))

    def _stages(self, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        if seed not in self._shared:
            trial = self._trial(seed, {})
            for _ in trial.run_stage("classifier"):
                pass
            for _ in trial.run_stage("warmup"):
                pass
            self._shared[seed] = trial.product("classifier"), trial.product("warmup")
        return self._shared[seed]


def missing(points: Iterable[Params], rows: Iterable[Row]) -> list[Run]:
    """Return the runs of a design that a table lacks.

    Raises:
        ValueError: A row is none of the design's.
    """
    wanted = {
        (point, seed): Run(point, seed, params)
        for point, params in enumerate(points)
        for seed in SEEDS
    }
    for row in rows:
        run = wanted.pop((row.point, row.seed), None)
        if run is not None and run.params != row.params:
            raise ValueError(
                f"point {row.point}: got {row.params}, expected {run.params}; another study's table"
            )
    return list(wanted.values())


def append(row: Row, path: Path) -> None:
    """Add a row to a table, which begins with the names of its columns."""
    cells = row.cells()
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, cells, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(cells)


@cache
def _recorder() -> Recorder:
    """Return the recorder of this process, which keeps what the runs of a seed share."""
    torch.set_num_threads(1)
    return Recorder(read_study())


def _record(run: Run) -> Row:
    return _recorder().run(run)


def main(
    *,
    points: Annotated[int, typer.Option(min=1, help="Points of the design to be run.")] = 96,
    path: Annotated[Path, typer.Option(help="The table.")] = TABLE_FILE,
) -> None:
    """Run what the table lacks and append it."""
    runs = missing(design(read_study())[:points], read_rows(path))
    context = multiprocessing.get_context("spawn")
    with context.Pool(NUM_PROCESSES) as pool:
        for done, row in enumerate(pool.imap(_record, runs), start=1):
            append(row, path)
            typer.echo(f"{done} of {len(runs)}: point {row.point}, seed {row.seed}")


if __name__ == "__main__":
    typer.run(main)
