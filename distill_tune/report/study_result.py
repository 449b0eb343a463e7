"""Results for the Python API, read from plain files: a study, winners, tables, a trained model."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tune.confirmation.evidence.findings import Confirmation
from distill_tune.confirmation.evidence.summary import confirmation
from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import StudyDirectory, file_part
from distill_tune.records.extras.finalists import Finalist
from distill_tune.records.extras.quoted import quoted
from distill_tune.records.extras.runs import ExtraRecord, controls
from distill_tune.records.files.storage import path_text
from distill_tune.records.replay import fold
from distill_tune.records.running import StudyStatus, study_status
from distill_tune.records.tables import Table, epoch_rows, trial_rows
from distill_tune.records.trials import StudyState, TrialRecord, best

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Winner:
    """The best trial of a backbone.

    Attributes:
        name: Name of the trial, such as ``resnet50-0003``.
        value: Best value of the study's metric on the validation split; higher is better. With
            finalists, the mean over their seeds. It is biased upwards, because the trial was chosen
            by it.
        params: The sampled values by dotted path.
        config: YAML file of the whole configuration, for ``train``; None until a session ended.
        model: Folder of its weights, class names and transforms; None if they were not kept.
        trial: The full record of its run on the seed of the search, with the value of that seed.
            Its ``status`` is complete or, if no trial is complete, pruned or running.
        spread: Standard deviation of the value over seeds; None for one seed.
        num_seeds: Number of seeds of which ``value`` is the mean.
        first_seed_choice: Name of the trial that the first seed alone would have chosen; None
            without finalists.
    """

    name: str
    value: float
    params: Mapping[str, Any]
    config: str | None
    model: str | None
    trial: TrialRecord = field(repr=False)
    spread: float | None = None
    num_seeds: int = 1
    first_seed_choice: str | None = None


@dataclass(frozen=True)
class StudyResult:
    """A study at the time when it was read; a running search does not change it.

    Functions that take a study's directory accept this object too: ``confirm(study)``.

    Attributes:
        name: Name of the study, such as ``resnet``.
        path: Absolute path or URI of its directory.
        status: ``new``, ``running``, ``interrupted``, ``time_budget``, ``stopped``, ``failed`` or
            ``finished``.
        state: Everything recorded: trials by number, shared stages, sessions, warnings.
        best: Backbone to its winner; backbones without any value are missing.
        confirmation: Arms, paired gains and verdicts; None before ``confirm``.
        controls: Backbone to arm to its control: ``controls["resnet50"]["equal_steps"].value`` is
            what the best trial must beat.
        finalists: Backbone to its finalists, best first: mean, spread and the value of each seed;
            missing without ``search.finalists``, and until all have run.
    """

    name: str
    path: str
    status: StudyStatus
    state: StudyState
    best: Mapping[str, Winner]
    confirmation: Confirmation | None
    controls: Mapping[str, Mapping[str, ExtraRecord]] = field(default_factory=dict)
    finalists: Mapping[str, tuple[Finalist, ...]] = field(default_factory=dict)

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        return tuple(self.state.trials.values())

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        winners = ", ".join(
            f"{backbone}: {winner.name} {quoted(self.state, winner.trial).sentence}"
            for backbone, winner in self.best.items()
        )
        return (
            f"<study {self.name}: {self.status}, {len(self.trials)} trials, "
            f"best {winners or 'none'}, at {self.path}>"
        )

    def trials_frame(self) -> "pd.DataFrame":
        """Return one row per trial, by number, with the columns of ``trials.csv``.

        Controls, which follow the trials in ``trials.csv``, are left out: see ``controls``. The
        columns are ``number``, ``name``, ``kind`` (``trial``), ``backbone``, ``state``, ``reason``,
        ``value`` (the best objective of any epoch) and ``epochs``; then the params by
        dotted path, seconds per stage as ``seconds/<stage>``, the measurements at the ends of the
        GAN stages (such as ``warmup/synthetic/agreement``), and the last epoch's metrics. Missing
        values are NaN.

        Raises:
            DistillTuneError: pandas is not installed.
        """
        return _frame(trial_rows(self.state))

    def epochs_frame(self) -> "pd.DataFrame":
        """Return the learning curves, one row per trial and epoch: the columns of ``epochs.csv``.

        The columns are ``number``, ``name`` and ``epoch`` (from 1), then that epoch's metrics,
        rates in [0, 1], and the seconds that it took. Missing values are NaN.

        Raises:
            DistillTuneError: pandas is not installed.
        """
        return _frame(epoch_rows(self.state))


@dataclass(frozen=True)
class TrainedModel:
    """A model folder written by ``train``.

    Attributes:
        validation_accuracy: Accuracy of the written weights, in [0, 1].
        metric: Metric by which the weights were kept, such as ``val/macro_f1``.
        value: The metric of the written weights; higher is better.
        weights: Weights of the classifier, as safetensors.
        generator: Weights of the generator, as safetensors.
        model: YAML file of the backbone, class names, transforms, origin and metrics.
        config: YAML file of the whole configuration.
    """

    validation_accuracy: float
    metric: str
    value: float
    weights: Path
    generator: Path
    model: Path
    config: Path

    @property
    def folder(self) -> Path:
        """The folder that holds all these files."""
        return self.model.parent


def load_study(path: "str | os.PathLike[str]") -> StudyResult:
    """Return a running, interrupted or finished study, without importing torch or Ray.

    Args:
        path: Directory of the study, such as ``runs/resnet``, or a URI.

    Raises:
        StudyError: There is no study, or its records cannot be read.
    """
    directory = StudyDirectory(path_text("path", path))
    directory.require()
    events = directory.events()
    state = fold(events)
    winners = {name: _winner(directory, state, best(state, name)) for name in state.backbones}
    return StudyResult(
        name=directory.name,
        path=directory.path(),
        status=study_status(state, directory.in_use(), time.time()),
        state=state,
        best={backbone: winner for backbone, winner in winners.items() if winner is not None},
        confirmation=confirmation(events),
        controls=controls(state),
        finalists=state.finalists,
    )


def _winner(
    directory: StudyDirectory, state: StudyState, trial: TrialRecord | None
) -> Winner | None:
    if trial is None:
        return None
    found = quoted(state, trial)
    if found.value is None:
        return None
    return Winner(
        name=trial.name,
        value=found.value,
        params=trial.params,
        config=_path(directory, f"best/{file_part(trial.backbone)}.yaml"),
        model=_path(directory, f"models/{trial.name}"),
        trial=trial,
        spread=found.spread,
        num_seeds=found.num_seeds,
        first_seed_choice=found.first_seed_choice,
    )


def _path(directory: StudyDirectory, name: str) -> str | None:
    return directory.path(name) if directory.has(name) else None


def _frame(table: Table) -> "pd.DataFrame":
    try:
        import pandas as pd
    except ImportError as error:
        raise DistillTuneError(
            f"pandas: got none ({error}), expected it for a frame: pip install pandas"
        ) from error
    return pd.DataFrame(table.rows, columns=table.columns)
