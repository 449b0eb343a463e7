"""``python -m tests.benchmarks.ablation GROUP [--seeds N] [--log FILE]``: arms and parts, compared.

Accuracy of one configuration and of changes of it, over the same seeds: on digits, 10 a class, or
(``recipe/SETTING``) in a setting of ``search_spaces/evidence/``. Each seed draws its images anew;
stages that variants have in common are trained once a seed. The accuracy is that after the last
epoch, on validation images (as many of each class) that nothing is trained on: the best epoch of
stage 1 is chosen by them, none of stage 3. Rows are kept in the log, so that a run may be stopped
and started again.
"""

import json
import multiprocessing
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from distill_tune.confirmation.evidence.statistics import gain
from distill_tune.distill.trial import Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.interfaces import ImageData
from distill_tune.study.space import apply
from distill_tune.training.stages import PREDECESSORS, ComputePlace, SharedStage, stage_key
from tests.benchmarks.ablation_groups import GROUPS

KEPT = Path(__file__).with_name("recipes")
"""Logs from which the tables in ``RESULTS.md`` are built, each between marks of its group."""

_PLACE = ComputePlace("cpu", 1)


class Row(NamedTuple):
    """What a variant came to with one seed.

    Attributes:
        group: Of the variant.
        variant: Its name.
        seed: Of trial and images.
        accuracy: After the last epoch, in [0, 1].
        agreement: Of the generator with the judge, after the last epoch; None without a GAN.
        diversity: The same, of its images within a class.
        warmup_steps: That the generator took.
        step_ms: Milliseconds of process time of stage 3 for each of its steps, labels, monitors and
            validation included.
    """

    group: str
    variant: str
    seed: int
    accuracy: float
    agreement: float | None
    diversity: float | None
    warmup_steps: int | None
    step_ms: float


class Bench:
    """Trains variants with one seed, and the stages that they have in common once."""

    def __init__(self, seed: int) -> None:
        torch.set_num_threads(1)
        self._seed = seed
        self._products: dict[str, dict[str, Any]] = {}
        self._images: dict[str, ImageData] = {}

    def run(self, group: str, variant: str) -> Row:
        """Train one variant to its end."""
        config = self._config(group, variant)
        trial = self._at_joint(config)
        began = time.process_time()
        reports = [report for report in trial.run() if report.stage == "joint"]
        steps = len(reports) * max(1, len(trial.data.train.labels) // config.classifier.batch_size)
        last = reports[-1].metrics
        return Row(
            group,
            variant,
            self._seed,
            last["val/accuracy"],
            last.get("synthetic/agreement"),
            last.get("synthetic/pixel_diversity"),
            trial.state.gan.warmup_steps if config.joint.has_gan else None,
            1000 * (time.process_time() - began) / steps,
        )

    def _config(self, group: str, variant: str) -> TrialConfig:
        base, changes = GROUPS[group].base, GROUPS[group].variants[variant]
        seeds = {"seed": self._seed, "data.seed": self._seed}
        return TrialConfig.model_validate(apply(base, {**seeds, **changes}))

    def _trial(self, config: TrialConfig) -> Trial:
        key = config.data.model_dump_json()
        if key not in self._images:
            self._images[key] = config.data.load()
        return Trial(config, self._images[key], torch.device("cpu"))

    def _at_joint(self, config: TrialConfig) -> Trial:
        trial = self._trial(config)
        stages: tuple[SharedStage, ...] = ("classifier", "warmup", "triplet")
        for stage in stages if config.joint.has_gan else stages[:1]:
            trial.adopt(stage, self._product(stage, config))
        if not config.joint.has_gan:
            trial.state.stage = "triplet"
        return trial

    def _product(self, stage: SharedStage, config: TrialConfig) -> dict[str, Any]:
        trial = self._trial(config)
        key = stage_key(stage, config, json.dumps(config.data.model_dump(mode="json")), _PLACE)
        if key not in self._products:
            for before in PREDECESSORS[stage]:
                trial.adopt(before, self._product(before, config))
            for _ in trial.run_stage(stage):
                pass
            self._products[key] = trial.product(stage)
        return self._products[key]


def main(
    group: Annotated[str, typer.Argument(help=", ".join(GROUPS))],
    *,
    seeds: Annotated[int, typer.Option(min=1)] = 10,
    processes: Annotated[int, typer.Option(min=1, help="One thread each.")] = 2,
    log: Annotated[Path, typer.Option(help="JSON lines; what is in it is not run again.")],
) -> None:
    """Train every variant of a group with every seed, and print the table."""
    if group not in GROUPS:
        raise typer.BadParameter(f"got {group!r}, expected one of {', '.join(GROUPS)}")
    done, variants = read(log), GROUPS[group].variants
    left = [
        (group, seed, [name for name in variants if (group, name, seed) not in done], log)
        for seed in range(seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in pool.imap_unordered(_of_seed, [one for one in left if one[2]], chunksize=1):
            pass
    rows = read(log)
    wanted = {(group, name, seed) for name in variants for seed in range(seeds)}
    typer.echo("\n".join(table(group, [rows[key] for key in sorted(wanted)])))


def _of_seed(given: tuple[str, int, list[str], Path]) -> None:
    group, seed, variants, log = given
    bench = Bench(seed)
    for variant in variants:
        line = json.dumps(bench.run(group, variant)._asdict())
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read(log: Path) -> dict[tuple[str, str, int], Row]:
    """Return the rows of a log by group, variant and seed."""
    if not log.exists():
        return {}
    lines = log.read_text(encoding="utf-8").splitlines()
    rows = [Row(**json.loads(line)) for line in lines]
    return {(row.group, row.variant, row.seed): row for row in rows}


def table(group: str, rows: Iterable[Row]) -> list[str]:
    """Return a Markdown table: points, and paired gains over the group's reference."""
    named, variants = GROUPS[group].reference, GROUPS[group].variants
    found: dict[str, dict[int, Row]] = {name: {} for name in variants}
    for row in rows:
        found[row.variant][row.seed] = row
    reference = found[named]
    over_named = f"over {named}, 95 %"
    columns = ["variant", "accuracy, %", over_named, "agreement", "diversity", "ms a step", "seeds"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, of_seed in found.items():
        if not of_seed:
            continue
        pairs = [(row.accuracy, reference[seed].accuracy) for seed, row in of_seed.items()]
        over = gain([100 * (one - other) for one, other in pairs])
        interval = "" if over.low is None else f" ({over.low:+.2f} to {over.high:+.2f})"
        cells = [
            name,
            f"{100 * statistics.mean(row.accuracy for row in of_seed.values()):.2f}",
            f"{over.mean:+.2f}{interval}",
            _mean([row.agreement for row in of_seed.values()]),
            _mean([row.diversity for row in of_seed.values()]),
            f"{statistics.median(row.step_ms for row in of_seed.values()):.0f}",
            str(len(of_seed)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"Configuration: `{GROUPS[group].source}`"]


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.2f}" if known else ""


if __name__ == "__main__":
    typer.run(main)
