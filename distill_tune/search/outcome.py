"""What a search leaves for people and for the next command."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from distill_tune.config import to_yaml
from distill_tune.dashboard import JOURNAL_FILE
from distill_tune.errors import NoTrialSucceededError
from distill_tune.interfaces import plain
from distill_tune.records import EPOCHS_FILE, STUDY_FILE, TRIALS_FILE, StudyDirectory
from distill_tune.report import PAGE_FILE
from distill_tune.search.models import model_folder
from distill_tune.study import Study
from distill_tune.terminal import final_summary
from distill_tune.trials import StudyState, TrialRecord, best
from distill_tune.warm_start import warm_start_outcomes

if TYPE_CHECKING:
    from rich.console import RenderableType


def write_best(study: Study, directory: StudyDirectory, state: StudyState) -> None:
    """Write ``best/<backbone>.yaml`` for every backbone that has a winner.

    Each is a whole trial configuration: ``distill-tune train --config`` takes it as it is.
    """
    for backbone in study.backbones:
        winner = best(state, backbone.name)
        if winner is not None:
            config = study.trial_config(backbone.name, winner.params)
            text = _heading(study, winner) + to_yaml(plain(config))
            directory.write_text(_best_file(backbone.name), text)


def outcome_view(
    study: Study, directory: StudyDirectory, status: str
) -> "Iterator[RenderableType]":
    """Yield the last words of a search: trials, winners, what was written, what to do next.

    Lines that are text are to be copied, and must not be wrapped.
    """
    state = directory.state()
    if state.trials:
        yield final_summary(state)
    for outcome in warm_start_outcomes(plain(study), state):
        yield f"\n{escape(outcome.sentence)}"
    paths = _paths(study, directory, state)
    width = max(map(len, paths))
    yield "\nwritten"
    yield from (f"  {name:<{width}}  {escape(_shown(path))}" for name, path in paths.items())
    num_skipped = _num_skipped(directory)
    if num_skipped:
        yield f"  {num_skipped} unreadable files were left out; events.jsonl lists them"
    yield from (f"  warning: {escape(text)}" for text in state.warnings)
    yield "\nnext"
    yield f"  tensorboard --logdir {escape(shlex.quote(_shown(directory.path('tensorboard'))))}"
    for backbone in study.backbones:
        if best(state, backbone.name) is not None:
            config = shlex.quote(_shown(directory.path(_best_file(backbone.name))))
            yield f"  distill-tune train --config {escape(config)} --out model-{backbone.name}"
    over, total = len(_over(state)), study.search.num_trials
    if status == "finished":
        yield f"\nThe study is finished: {over} of {total} trials."
    else:
        yield f"\n{status.replace('_', ' ')} after {over} of {total} trials; go on with:"
        yield f"  {escape(resume_command(directory))}"


def _shown(path: str) -> str:
    """Return a path as short as it can be copied: relative where it lies below this folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def outcome_json(study: Study, directory: StudyDirectory, status: str) -> dict[str, Any]:
    """Return the same for a program: plain data."""
    state = directory.state()
    return {
        "study": study.study,
        "status": status,
        "num_trials": len(state.trials),
        "metric": study.search.metric,
        "num_files_left_out": _num_skipped(directory),
        "warnings": list(state.warnings),
        "best": {
            backbone.name: _winner(directory, best(state, backbone.name))
            for backbone in study.backbones
        },
        "warm_start": [outcome.sentence for outcome in warm_start_outcomes(plain(study), state)],
        "paths": _paths(study, directory, state),
        "tensorboard": f"tensorboard --logdir {_board(directory)}",
        "resume": resume_command(directory),
    }


def resume_command(directory: StudyDirectory) -> str:
    """Return the command that goes on with a study."""
    return f"distill-tune resume {shlex.quote(directory.root)}"


def require_success(state: StudyState) -> None:
    """Raise NoTrialSucceededError, with all reasons, if no trial has a value."""
    trials = list(state.trials.values())
    if any(trial.status in {"complete", "pruned"} for trial in trials):
        return
    reasons = sorted({f"{trial.reason}: {trial.detail}" for trial in trials})
    raise NoTrialSucceededError("\n  ".join(["no trial succeeded:", *reasons]))


def _num_skipped(directory: StudyDirectory) -> int:
    return max(
        (len(event["skipped"]) for event in directory.events() if event["event"] == "data"),
        default=0,
    )


def _over(state: StudyState) -> list[TrialRecord]:
    return [trial for trial in state.trials.values() if trial.ended_at is not None]


def _winner(directory: StudyDirectory, trial: TrialRecord | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {
        "trial": trial.name,
        "status": trial.status,
        "value": trial.value,
        "epochs": trial.epochs,
        "params": trial.params,
        "config": directory.path(_best_file(trial.backbone)),
    }


def _paths(study: Study, directory: StudyDirectory, state: StudyState) -> dict[str, str]:
    found = {
        "study": directory.path(STUDY_FILE),
        "trials": directory.path(TRIALS_FILE),
        "epochs": directory.path(EPOCHS_FILE),
    }
    if directory.has(PAGE_FILE):
        found["report"] = directory.path(PAGE_FILE)
    if directory.has(JOURNAL_FILE):
        found["optuna"] = directory.path(JOURNAL_FILE)
    if state.trials:
        found["tensorboard"] = directory.path("tensorboard")
    for backbone in study.backbones:
        winner = best(state, backbone.name)
        if winner is not None:
            found[f"best {backbone.name}"] = directory.path(_best_file(backbone.name))
            model = model_folder(directory, winner.name)
            found |= {f"model {backbone.name}": model} if model else {}
    return found


def _best_file(backbone: str) -> str:
    return f"best/{backbone}.yaml"


def _board(directory: StudyDirectory) -> str:
    return shlex.quote(directory.path("tensorboard"))


def _heading(study: Study, winner: TrialRecord) -> str:
    searched = ", ".join(winner.params) or "nothing"
    return (
        f"# Trial {winner.name} of study {study.study} ({winner.status}): "
        f"{study.search.metric} {winner.value:.4f} on the validation split, unconfirmed.\n"
        f"# Searched: {searched}.\n"
        f"# Train it: distill-tune train --config {winner.backbone}.yaml --out model/\n"
        f"# On a CPU, with --threads {max(1, int(study.resources.cpus))}, that repeats the trial's "
        "numbers.\n"
    )
