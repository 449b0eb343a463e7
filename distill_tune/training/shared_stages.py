"""Computation of a shared stage, and its adoption by trials."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from distill_tune.distill.trial import Report, Trial
from distill_tune.interfaces import ImageData, Metrics
from distill_tune.records.trials import FidelityPoint
from distill_tune.records.words.fitness_text import curve_of
from distill_tune.training.checkpoints.stage_runs import StageCheckpoints, StagePlace
from distill_tune.training.memory import is_out_of_memory
from distill_tune.training.stage_store import StageStore
from distill_tune.training.stages import PREDECESSORS, STAGES, Job, SharedStage
from distill_tune.training.tensorboard.image_grid import grid_png
from distill_tune.training.tensorboard.trial_summaries import GRID_PER_CLASS


class StageResult(NamedTuple):
    """Outcome of one shared stage.

    Attributes:
        name: ``classifier/resnet50`` or ``warmup``.
        key: Key under which the product is stored.
        seconds: Wall time of its computation now, 0 if it existed already.
        cost_s: Wall time of its computation, whenever that was.
        metrics: Metrics of its last report.
        cached: Whether it existed already.
        steps: Epochs or generator steps that it took.
        max_steps: Most steps that it could have taken, if it ends by itself; else None.
        curve: The generator's, oldest first; empty for a classifier.
    """

    name: str
    key: str
    seconds: float
    cost_s: float
    metrics: Metrics
    cached: bool
    steps: int
    max_steps: int | None
    curve: tuple[FidelityPoint, ...]

    @classmethod
    def computed(
        cls, job: Job, key: str, reports: Sequence[Report], seconds: float, cost_s: float
    ) -> "StageResult":
        """Return the outcome of a stage that was computed now."""
        last = reports[-1] if reports else None
        gan = job.config.gan
        is_auto = job.stage == "warmup" and gan.warmup_steps == "auto"
        return cls(
            name=job.name,
            key=key,
            seconds=seconds,
            cost_s=cost_s,
            metrics=last.metrics if last else {},
            cached=False,
            steps=last.step if last else 0,
            max_steps=gan.max_warmup_steps if is_auto else None,
            curve=curve_of(reports),
        )

    @classmethod
    def found(cls, job: Job, key: str, saved: dict[str, Any]) -> "StageResult":
        """Return the outcome of a stage whose product existed already."""
        reports = [Report(*report) for report in saved["reports"]]
        computed = cls.computed(job, key, reports, 0.0, float(saved["seconds"]))
        return computed._replace(cached=True)

    def event(self) -> dict[str, Any]:
        """Return the fields of the log's event."""
        return self._asdict() | {"curve": [one._asdict() for one in self.curve]}


def checkpoints_of(job: Job, store: StageStore) -> StagePlace:
    """Return where the checkpoints of a stage lie while it is being computed."""
    return StagePlace(store.root, f"{job.stage}-{store.key(job.stage, job.config)}")


def compute_stage(
    job: Job, images: ImageData, store: StageStore, device: torch.device, share: float = 0.05
) -> Iterator[StageResult | tuple[str, Report]]:
    """Compute a stage's product and store it.

    If an earlier attempt left a checkpoint, the stage goes on from there. It then yields the
    reports from before again: whoever starts it twice gets the same messages, and the same product,
    bit for bit on a CPU.

    Args:
        job: What to compute; the study holds the products it starts from.
        images: The study's data.
        store: Where to store the product.
        device: Where to compute.
        share: Largest share of its time that checkpoints may take, in (0, 1].

    Yields:
        Its name and a report, for each report; at the end, its outcome.

    Raises:
        ValueError: The product of an earlier stage is missing or damaged.
    """
    began = time.perf_counter()
    place = checkpoints_of(job, store)
    trial, reports = _resumed(job, images, store, device)
    checkpoints = StageCheckpoints(place, trial, share)
    yield from [(job.name, report) for report in reports]
    for report in trial.run_stage(job.stage):
        reports.append(report)
        yield job.name, report
        if report.step < report.num_steps:
            checkpoints.offer(reports)
    grid = b""
    if job.stage == "warmup":
        grid = grid_png(trial.sample_images(GRID_PER_CLASS), columns=GRID_PER_CLASS)
    cost_s = store.write(job.stage, job.config, reports, trial.product(job.stage), grid)
    place.clear()
    key = store.key(job.stage, job.config)
    yield StageResult.computed(job, key, reports, time.perf_counter() - began, cost_s)


def _resumed(
    job: Job, images: ImageData, store: StageStore, device: torch.device
) -> tuple[Trial, list[Report]]:
    """Return a trial as the newest sound checkpoint of the stage has it, and its reports so far."""
    for state, reports in checkpoints_of(job, store).saved(device):
        trial = _fresh(job, images, store, device)
        try:
            trial.load_state_dict(state)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            continue
        return trial, reports
    return _fresh(job, images, store, device), []


def _fresh(job: Job, images: ImageData, store: StageStore, device: torch.device) -> Trial:
    """Return a trial that starts the stage."""
    trial = Trial(job.config, images, device)
    for before in PREDECESSORS[job.stage]:
        saved = store.read(before, job.config, device)
        if saved is None:
            raise ValueError(f"{store.path(before, job.config)}: missing")
        trial.adopt(before, saved["product"])
    return trial


class Adopted(NamedTuple):
    """Products that a trial took from its study.

    Attributes:
        reports: What the stages reported when they were computed, in their order.
        keys: Keys of the products.
        warnings: One per damaged product, which the trial must compute itself.
    """

    reports: list[Report]
    keys: list[str]
    warnings: list[str]


def adopt_stages(trial: Trial, store: StageStore) -> Adopted:
    """Give a fresh trial the products that the study holds for it."""
    adopted = Adopted([], [], [])
    found: set[SharedStage] = set()
    for stage in STAGES:
        if not found.issuperset(PREDECESSORS[stage]):
            continue
        key = store.key(stage, trial.config)
        try:
            saved = _read(stage, key, trial, store)
        except ValueError as error:
            if is_out_of_memory(error):
                raise
            adopted.warnings.append(f"{error}; the trial computes its own")
            continue
        if saved is None:
            continue
        found.add(stage)
        trial.adopt(stage, saved["product"])
        adopted.reports.extend(Report(*report) for report in saved["reports"])
        adopted.keys.append(key)
    return adopted


def _read(stage: SharedStage, key: str, trial: Trial, store: StageStore) -> dict[str, Any] | None:
    """Return a product, on a CPU without reading it again if the trial before had the same one."""
    kept = trial.reusable.products
    found = kept.get(stage)
    if found is not None and found[0] == key:
        same: dict[str, Any] = found[1]
        return same
    saved = store.read_key(stage, key, trial.data.device)
    if trial.data.device.type == "cpu" and saved is not None:
        # The memory of a GPU has better uses.
        kept[stage] = key, saved
    return saved
