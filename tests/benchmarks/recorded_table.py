"""Recorded tables of real runs: a design over a search space, each point on several seeds.

Seed 0 is what a search sees; the others confirm.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from distill_tune.interfaces import plain
from distill_tune.study.space import Dimension, Range
from distill_tune.study.study import Study
from distill_tune.study.validation import get_path, parse, read_yaml

SEEN_SEED, CONFIRMING_SEEDS = 0, (1, 2)
SEEDS = (SEEN_SEED, *CONFIRMING_SEEDS)

_DESIGN_LOG2, _DESIGN_SEED = 7, 0

Params = dict[str, float]
Floats = NDArray[np.float64]


class Recording(NamedTuple):
    """The files of a table.

    Attributes:
        study: The study whose trials the table holds.
        table: A row per run.
    """

    study: Path
    table: Path


def recording(name: str) -> Recording:
    """Return the files of the table that a benchmark reads, by the benchmark's name."""
    here = Path(__file__)
    return Recording(here.with_name(f"{name}.yaml"), here.with_name(f"{name}_table.csv"))


QUALITY, INFLUENCE = recording("quality"), recording("influence")


def read_study(path: Path = QUALITY.study) -> Study:
    """Return the study of a file."""
    return parse(Study, read_yaml(path))


def design(study: Study) -> list[Params]:
    """Return the study's defaults, then 127 points of a scrambled Sobol sequence.

    Every beginning of the list covers the space, so a table may end anywhere.
    """
    template, dimensions = plain(study.trial), study.space.dimensions
    defaults = {path: float(get_path(template, path.split("."))) for path in dimensions}
    sobol = qmc.Sobol(len(dimensions), scramble=True, seed=_DESIGN_SEED)
    points = sobol.random_base2(_DESIGN_LOG2)[:-1]
    return [defaults, *(from_unit(dimensions, point) for point in points)]


def to_unit(dimensions: Mapping[str, Dimension], params: Mapping[str, float]) -> Floats:
    """Return where a point lies in the unit cube, ``[num_dimensions]`` in [0, 1]."""
    return np.array([_share(_range(dim), params[path]) for path, dim in dimensions.items()])


def from_unit(dimensions: Mapping[str, Dimension], point: Floats) -> Params:
    """Return the values at a point of the unit cube, to 6 digits."""
    return {
        path: float(f"{_value(_range(dim), float(share)):.6g}")
        for (path, dim), share in zip(dimensions.items(), point, strict=True)
    }


def _range(dimension: Dimension) -> Range:
    if not isinstance(dimension, Range):
        raise TypeError(f"got {dimension.describe()}, expected a range: a choice has no distances")
    return dimension


def _share(dimension: Range, value: float) -> float:
    low, high = dimension.low, dimension.high
    if dimension.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float((value - low) / (high - low))


def _value(dimension: Range, share: float) -> float:
    low, high = dimension.low, dimension.high
    return float(low * (high / low) ** share if dimension.log else low + share * (high - low))


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        point: Its place in the design.
        seed: Of the trial.
        params: What the design has there.
        start_s: CPU seconds from the shared stages' adoption to the first joint epoch: labels
            and the GAN's steps with the triplet loss.
        epoch_s: CPU seconds of a joint epoch, the mean.
        values: Validation accuracy after each joint epoch.
    """

    point: int
    seed: int
    params: Params
    start_s: float
    epoch_s: float
    values: tuple[float, ...]

    def cells(self) -> dict[str, str]:
        """Return the row as the file has it."""
        cells = {"point": str(self.point), "seed": str(self.seed)}
        cells |= {path: f"{value:g}" for path, value in self.params.items()}
        cells |= {"start_s": f"{self.start_s:.3f}", "epoch_s": f"{self.epoch_s:.4f}"}
        return cells | {f"epoch_{n}": f"{v:.4f}" for n, v in enumerate(self.values, start=1)}


def read_rows(path: Path = QUALITY.table) -> list[Row]:
    """Return the runs of a file, none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [_row(cells) for cells in csv.DictReader(file)]


def _row(cells: Mapping[str, str]) -> Row:
    return Row(
        point=int(cells["point"]),
        seed=int(cells["seed"]),
        params={path: float(text) for path, text in cells.items() if "." in path},
        start_s=float(cells["start_s"]),
        epoch_s=float(cells["epoch_s"]),
        values=tuple(
            float(text)
            for name, text in cells.items()
            if name.startswith("epoch_") and name != "epoch_s"
        ),
    )


@dataclass(frozen=True, eq=False)
class RecordedTable:
    """What a replayed search may ask.

    Attributes:
        dimensions: Of the space, by dotted path.
        params: Of each point; the first is the default configuration.
        curves: Validation accuracy ``[num_points, num_seeds, num_epochs]``, the seen seed first.
        start_epochs: What the start of a trial costs, in joint epochs.
    """

    dimensions: Mapping[str, Dimension]
    params: tuple[Params, ...]
    curves: Floats
    start_epochs: float

    @classmethod
    def read(cls, study: Study, path: Path = QUALITY.table) -> "RecordedTable":
        """Return the points of a recorded table that were run on every seed.

        Raises:
            FileNotFoundError: There is no such table.
        """
        if not path.exists():
            how = "python -m tests.benchmarks.record_table NAME makes it"
            raise FileNotFoundError(f"{path}: missing; {how}")
        rows = {(row.point, row.seed): row for row in read_rows(path)}
        points = sorted({point for point, _ in rows})
        whole = [point for point in points if all((point, seed) in rows for seed in SEEDS)]
        kept = [rows[point, seed] for point in whole for seed in SEEDS]
        curves = np.array([row.values for row in kept])
        return cls(
            dimensions=study.space.dimensions,
            params=tuple(rows[point, SEEN_SEED].params for point in whole),
            curves=curves.reshape(len(whole), len(SEEDS), -1),
            start_epochs=float(
                np.median([row.start_s for row in kept]) / np.median([row.epoch_s for row in kept])
            ),
        )

    @cached_property
    def units(self) -> Floats:
        """The points in the unit cube, ``[num_points, num_dimensions]``."""
        return np.array([to_unit(self.dimensions, params) for params in self.params])

    @cached_property
    def seen(self) -> Floats:
        """What a search gets to know of each point in the end: the seen seed's best epoch."""
        best: Floats = self.curves[:, 0].max(axis=1)
        return best

    @cached_property
    def confirmed(self) -> Floats:
        """What each point is worth: the mean of the best epochs of the confirming seeds."""
        worth: Floats = self.curves[:, 1:].max(axis=2).mean(axis=1)
        return worth

    @property
    def num_epochs(self) -> int:
        """Epochs of a whole trial."""
        return int(self.curves.shape[2])

    def nearest(self, params: Mapping[str, float]) -> int:
        """Return the point that answers for a proposal: the nearest in the unit cube."""
        distances = np.linalg.norm(self.units - to_unit(self.dimensions, params), axis=1)
        return int(distances.argmin())
