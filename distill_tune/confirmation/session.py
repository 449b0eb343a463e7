"""Confirmation session: the search's best configurations and rivals, trained with fresh seeds."""

import json
import math
from dataclasses import dataclass
from typing import Any

from distill_tune import __version__
from distill_tune.cluster.shared_images import StudyImages
from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.confirmation.evidence.statistics import mean_and_spread
from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.confirmation.evidence.tables import as_json, markdown
from distill_tune.confirmation.figures import collapse_picture, store_picture
from distill_tune.confirmation.plan import Plan, evidence_seeds
from distill_tune.confirmation.run_executor import RunExecutor
from distill_tune.confirmation.tuned_arms import tune_arms
from distill_tune.datasets import Dataset
from distill_tune.errors import StudyError
from distill_tune.interfaces import ImageData, plain
from distill_tune.records.confirm_log import (
    CHOSEN,
    ENDED,
    PLANNED,
    SELECTION,
    STARTED,
    next_reading,
    run_records,
    runs_csv,
)
from distill_tune.records.directory import StudyDirectory, file_part
from distill_tune.records.extras.quoted import quoted
from distill_tune.records.trials import StudyState, TrialRecord, top
from distill_tune.study.sections import Confirm
from distill_tune.study.study import Study
from distill_tune.training.checkpoints.folders import delete_leftovers
from distill_tune.training.tensorboard.writer import TensorBoard
from distill_tune.tuning.journal import Journal
from distill_tune.tuning.run_options import RunOptions
from distill_tune.tuning.stopping.time_budget import terminate_as_interrupt

CONFIRMATION_FILE = "confirm/confirmation.json"
TABLES_FILE = "confirm/confirmation.md"
RUNS_FILE = "confirm/runs.csv"
FILES = (TABLES_FILE, CONFIRMATION_FILE, RUNS_FILE)


def confirm_study(
    study: Study, directory: StudyDirectory, images: ImageData, options: RunOptions
) -> Confirmation:
    """Train the missing runs of a confirmation and return its results.

    Args:
        study: The stored study, with its ``confirm`` section.
        directory: Directory of the study.
        images: Images of the study.
        options: How to run.

    Raises:
        StudyError: No trial has a value, a search is running, or the images differ.
        InputError: There are no test images, or there is no cluster.
        KeyboardInterrupt: Interrupted; everything recorded so far is kept.
    """
    section = study.confirm or Confirm()
    study.data.require_test()
    drawn = StudyImages(study.data, images)
    _require_same_images(directory, study.data, drawn)
    # A further choice among the method's best would be one that no other arm has.
    candidates = _candidates(study, directory, 1 if section.tune_arms else section.top)
    tuned = {}
    if section.tune_arms:
        tuned = tune_arms(study, directory, images, section.arms, options)
    with options.views.confirmation() as view, directory.lock(), terminate_as_interrupt():
        journal = Journal(directory, lambda event, _: view.listen(event))
        reading = next_reading(directory.events(), is_again=options.is_again)
        executor = RunExecutor(study, drawn, journal, view, options, reading)
        overlap = _overlap(study, section, drawn)
        plan = Plan(study, section, images.digest, overlap is not None, tuned)
        return _ConfirmationSession(plan, executor, overlap).run(candidates)


def _overlap(study: Study, section: Confirm, images: StudyImages) -> float | None:
    """Return the mean share of training images that two draws have in common, below 1.

    None if images are not redrawn for each seed: this is off, or a draw takes all images. The
    share is measured between each seed's draw and the search's, since all draws are alike.
    """
    if not section.redraw:
        return None
    shares = [images.overlap(study.data.redrawn(seed)) for seed in evidence_seeds(study, section)]
    mean = mean_and_spread(shares)[0]
    return mean if mean < 1 else None


def _require_same_images(directory: StudyDirectory, data: Dataset, images: StudyImages) -> None:
    """Raise ``StudyError`` if images differ from those of the search or of recorded runs."""
    events = directory.events()
    expected = [(data, e["digest"], "the search") for e in events if e["event"] == "data"]
    expected += [
        (data.model_copy(update={"subset_seed": run.subset_seed}), run.images, run.name)
        for run in run_records(events)
        if run.is_redrawn
    ]
    for draw, digest, whose in expected:
        if images.digest(draw) != digest:
            raise StudyError(
                f"{directory.root}: got other images (digest {images.digest(draw)}), "
                f"expected those of {whose} (digest {digest})"
            )


def _candidates(
    study: Study, directory: StudyDirectory, count: int
) -> dict[str, list[TrialRecord]]:
    state: StudyState = directory.state()
    found = {backbone.name: top(state, backbone.name, count) for backbone in study.backbones}
    missing = [name for name, trials in found.items() if not trials]
    if missing:
        raise StudyError(
            f"{directory.root}: got no trial of {', '.join(missing)} that is over and has a "
            "value, expected a search with at least one result"
        )
    return found


@dataclass
class _ConfirmationSession:
    """One session of a confirmation.

    Attributes:
        plan: The runs to train.
        executor: Executor of the runs.
        overlap: Share of training images that two seeds have in common; None means all.
    """

    plan: Plan
    executor: RunExecutor
    overlap: float | None

    @property
    def journal(self) -> Journal:
        return self.executor.journal

    def run(self, candidates: dict[str, list[TrialRecord]]) -> Confirmation:
        self.journal.emit(
            STARTED,
            command=self.executor.options.command,
            version=__version__,
            plan=plain(self.plan.confirm),
            seeds=self.plan.evidence_seeds(),
            overlap=self.overlap,
            tuned=sorted(self.plan.tuned),
            reading=self.executor.reading,
        )
        with self.executor:
            chosen = self._choose(candidates)
            self.journal.emit(PLANNED, keys=self.plan.keys(chosen))
            self.executor.compute([*self.plan.evidence(chosen), *self.plan.figures(chosen)])
        self.journal.emit(ENDED, reading=self.executor.reading)
        return self._write()

    def _choose(self, candidates: dict[str, list[TrialRecord]]) -> dict[str, TrialRecord]:
        """Return each backbone's best configuration by its mean over the selection seeds."""
        runs = {
            (name, trial.number): self.plan.selection(name, trial)
            for name, trials in candidates.items()
            for trial in trials
            if len(trials) > 1
        }
        self.executor.compute([run for of_trial in runs.values() for run in of_trial])
        events = self.journal.directory.events()
        values = {r.name: r.value for r in run_records(events) if r.phase == SELECTION}
        means = {key: _mean([values[run.name] for run in own]) for key, own in runs.items()}
        known = {e["backbone"]: e["trial"] for e in events if e["event"] == CHOSEN}
        chosen = {}
        for name, trials in candidates.items():
            # The search's own order breaks ties.
            best = max(trials, key=lambda trial: means.get((name, trial.number), 0.0))
            chosen[name] = best
            if known.get(name) != best.number:
                self._tell(name, best, means)
        return chosen

    def _tell(self, backbone: str, trial: TrialRecord, means: dict[tuple[str, int], float]) -> None:
        own = {str(number): mean for (name, number), mean in means.items() if name == backbone}
        self.journal.emit(
            CHOSEN,
            backbone=backbone,
            trial=trial.number,
            name=trial.name,
            metric=self.plan.study.search.metric,
            search_value=quoted(self.journal.state, trial).value,
            selection=own,
        )

    def _write(self) -> Confirmation:
        directory = self.journal.directory
        events = directory.events()
        found = confirmation(events)
        if found is None:
            raise StudyError(f"{directory.root}: no run of the confirmation is recorded")
        directory.write_text(CONFIRMATION_FILE, f"{json.dumps(as_json(found), indent=2)}\n")
        directory.write_text(TABLES_FILE, markdown(found))
        runs = run_records(events)
        # A run that was killed between its end and its cleanup leaves files behind.
        delete_leftovers(directory.root, {run.name for run in runs})
        directory.write_text(RUNS_FILE, runs_csv(runs))
        for one in found.backbones:
            picture = collapse_picture(one.backbone, runs, self.plan.study.search.metric)
            if picture is not None:
                store_picture(directory, one.backbone, picture)
                name = f"tensorboard/confirm-{file_part(one.backbone)}"
                writer = TensorBoard(directory.path(name), self.plan.study.search.metric)
                writer.picture(picture.name, 0, picture.pixels)
                writer.close()
        return found


def _mean(values: list[Any]) -> float:
    """Return the mean by which configurations are chosen; a failed seed ranks one last."""
    return -math.inf if None in values else mean_and_spread(values)[0]
