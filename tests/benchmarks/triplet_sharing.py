"""Do trials rank alike if their triplet stage is shared, and what does sharing save?

``python -m tests.benchmarks.triplet_sharing --log FILE``: configurations of a scrambled Sobol
sequence over the four shipped dimensions, each on some seeds, each with its own triplet stage and
with the one of the study's margin and threshold. Stages 1 and the warm-up are computed once for
each seed. A started log is continued.
"""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.stats import kendalltau, spearmanr

from distill_tune.distill.trial import Trial
from distill_tune.interfaces import ImageData
from distill_tune.study.study import Study
from tests.benchmarks.recorded_table import design, read_study

STUDY = Path(__file__).with_name("triplet_sharing.yaml")
MODES = ("per_trial", "shared")
_RESAMPLES = 2000
Row = dict[str, Any]


def study_of(mode: str, seed: int) -> Study:
    """Return the study in which trials share the triplet stage, or do not."""
    study = read_study(STUDY)
    search = study.search.model_copy(update={"triplet": mode})
    trial = study.trial.model_copy(update={"seed": seed})
    return study.model_copy(update={"search": search, "trial": trial})


class Seed:
    """Trials of one seed, and the stages that they share."""

    def __init__(self, seed: int, images: ImageData) -> None:
        self.seed, self._images = seed, images
        self._products: dict[str, dict[str, Any]] = {}

    def run(self, mode: str, params: dict[str, Any]) -> Row:
        """Return the best accuracy of a trial and the CPU seconds of its stages."""
        study = study_of(mode, self.seed)
        backbone = study.backbones[0].name
        self._share("classifier", study, backbone)
        self._share("warmup", study, backbone)
        trial = self._begun(study, backbone, params, ["classifier", "warmup"])
        seconds = {"triplet": 0.0}
        if mode == "shared":
            self._share("triplet", study, backbone)
            trial.adopt("triplet", self._products["triplet"])
        began = time.process_time()
        values = []
        for report in trial.run():
            if report.stage == "triplet":
                seconds["triplet"] = time.process_time() - began
            elif report.stage == "joint":
                values.append(report.metrics["val/accuracy"])
        seconds["joint"] = time.process_time() - began - seconds["triplet"]
        return {"value": max(values), "values": values, "seconds": seconds}

    def _share(self, stage: Any, study: Study, backbone: str) -> None:
        if stage in self._products:
            return
        before = ["classifier", "warmup"] if stage == "triplet" else []
        trial = self._begun(study, backbone, {}, before)
        for _ in trial.run_stage(stage):
            pass
        self._products[stage] = trial.product(stage)

    def _begun(
        self, study: Study, backbone: str, params: dict[str, Any], stages: Sequence[Any]
    ) -> Trial:
        trial = Trial(study.trial_config(backbone, params), self._images, torch.device("cpu"))
        for stage in stages:
            trial.adopt(stage, self._products[stage])
        return trial


def record(log: Path, count: int, seeds: int) -> list[Row]:
    """Run what the log lacks, and return all rows."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(row["seed"], row["point"], row["mode"]) for row in rows}
    study = study_of("per_trial", 0)
    points, images = design(study)[:count], study.data.load()
    for number in range(seeds):
        seed = Seed(number, images)
        for point, mode in itertools.product(range(count), MODES):
            if (number, point, mode) in done:
                continue
            row = {"seed": number, "point": point, "mode": mode, "params": points[point]}
            rows.append(row | seed.run(mode, points[point]))
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    return rows


def table(rows: Sequence[Row], mode: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of a mode as ``[points, seeds]``."""
    found = {(row["point"], row["seed"]): row["value"] for row in rows if row["mode"] == mode}
    points, seeds = (sorted({key[place] for key in found}) for place in (0, 1))
    return np.array([[found[point, seed] for seed in seeds] for point in points])


def agreements(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield names and values: rank correlations with bootstrap intervals over points, and cost."""
    own, shared = (table(rows, mode) for mode in MODES)
    pairs = {
        "per trial against shared, mean over seeds": (own.mean(1), shared.mean(1)),
        "per trial against shared, same seed": (own.T, shared.T),
        "per trial, one seed against the other": (own[:, :1].T, own[:, 1:2].T),
        "shared, one seed against the other": (shared[:, :1].T, shared[:, 1:2].T),
    }
    for name, (one, other) in pairs.items():
        for called, rank in (("Spearman", spearmanr), ("Kendall", kendalltau)):
            yield f"{called}, {name}", interval(np.atleast_2d(one), np.atleast_2d(other), rank)
    yield "accuracy, per trial - shared, points", _gain(100 * (own - shared).mean(1))
    for mode in MODES:
        stages = [row["seconds"] for row in rows if row["mode"] == mode]
        means = {name: np.mean([one[name] for one in stages]) for name in ("triplet", "joint")}
        text = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items())
        yield f"CPU seconds of a trial, {mode}", text


def interval(one: Any, other: Any, rank: Any) -> str:
    """Return the mean rank correlation of rows, with a 95 % bootstrap interval over columns."""
    generator = np.random.default_rng(0)

    def value(columns: Any) -> float:
        pairs = zip(one[:, columns], other[:, columns], strict=True)
        return float(np.nanmean([rank(a, b).statistic for a, b in pairs]))

    count = one.shape[1]
    drawn = [value(generator.integers(count, size=count)) for _ in range(_RESAMPLES)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return f"{value(np.arange(count)):.2f} ({low:.2f} to {high:.2f})"


def _gain(gains: Any) -> str:
    half = 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{gains.mean():.2f} +-{half:.2f}"


def main(
    *,
    log: Annotated[Path, typer.Option(help="JSON lines; what is in it is not run again.")],
    configurations: Annotated[int, typer.Option(min=3)] = 16,
    seeds: Annotated[int, typer.Option(min=2)] = 2,
) -> None:
    """Run what the log lacks and print the comparison."""
    torch.set_num_threads(1)
    for name, value in agreements(record(log, configurations, seeds)):
        typer.echo(f"- {name}: {value}")


if __name__ == "__main__":
    typer.run(main)
