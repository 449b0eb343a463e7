"""Records a benchmark's table: ``python -m tests.benchmarks.record_table NAME [--points N]``.

``NAME.yaml`` is the study, ``NAME_table.csv`` the table. Processes of one thread each run the
points of the design in their order, each on every seed. A seed draws its own images, so that the
spread over seeds is that of another sample too. Rows are appended as they come and what is there
already is skipped, so it may be stopped at any time and started again. After a change of the study
delete the table first.
"""

import csv
import multiprocessing
import time
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from distill_tune.study.study import Study
from tests.benchmarks.recorded_table import (
    SEEDS,
    Params,
    Row,
    design,
    read_rows,
    read_study,
    recording,
)


class Run(NamedTuple):
    """A run to be made: a point of the design, a seed, and the values there."""

    point: int
    seed: int
    params: Params


class Shared(NamedTuple):
    """What all runs of a seed have in common: images, and what two stages yield."""

    images: ImageData
    classifier: dict[str, Any]
    warmup: dict[str, Any]


class Recorder:
    """Runs trials in one process, with the stages that all trials of a seed share."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._shared: dict[int, Shared] = {}

    def run(self, run: Run) -> Row:
        """Return what became of a run."""
        shared = self._shared_by(run.seed)
        started = time.process_time()
        trial = self._trial(run.seed, run.params, shared.images)
        trial.adopt("classifier", shared.classifier)
        trial.adopt("warmup", shared.warmup)
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

    def _trial(self, seed: int, params: Params, images: ImageData) -> Trial:
        config = self._study.trial_config(self._study.backbones[0].name, params)
        return Trial(config.model_copy(update={"seed": seed}), images, torch.device("cpu"))

    def _shared_by(self, seed: int) -> Shared:
        if seed not in self._shared:
            data = self._study.data
            images = data.model_copy(update={"seed": data.seed + seed}).load()
            trial = self._trial(seed, {}, images)
            for stage in ("classifier", "warmup"):
                for _ in trial.run_stage(stage):
                    pass
            products = trial.product("classifier"), trial.product("warmup")
            self._shared[seed] = Shared(images, *products)
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
def _recorder(study: Path) -> Recorder:
    """Return the recorder of this process, which keeps what the runs of a seed share."""
    torch.set_num_threads(1)
    return Recorder(read_study(study))


def _record(study: Path, run: Run) -> Row:
    return _recorder(study).run(run)


def main(
    name: Annotated[str, typer.Argument(help="quality or influence.")],
    *,
    points: Annotated[int, typer.Option(min=1, help="Points of the design to be run.")] = 96,
    processes: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 2,
) -> None:
    """Run what the table lacks and append it."""
    study, table = recording(name)
    runs = missing(design(read_study(study))[:points], read_rows(table))
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        for done, row in enumerate(pool.imap_unordered(partial(_record, study), runs), start=1):
            append(row, table)
            typer.echo(f"{done} of {len(runs)}: point {row.point}, seed {row.seed}")


if __name__ == "__main__":
    typer.run(main)
