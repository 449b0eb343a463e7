"""Results of a search, for users and for the next command."""

import shlex
from typing import Any

from distill_tune.errors import NoTrialSucceededError
from distill_tune.interfaces import plain
from distill_tune.records.continued import continued_sentences
from distill_tune.records.directory import (
    EPOCHS_FILE,
    JOURNAL_FILE,
    PAGE_FILE,
    STUDY_FILE,
    TRIALS_FILE,
    StudyDirectory,
    file_part,
)
from distill_tune.records.extras.finalists import finalist_sentence, finalists_json
from distill_tune.records.extras.quoted import QuotedValue, quoted
from distill_tune.records.extras.runs import control_json, controls
from distill_tune.records.pareto import fronts
from distill_tune.records.trials import StudyState, TrialRecord, best
from distill_tune.study.opening import resume_command
from distill_tune.study.study import Study
from distill_tune.study.validation import to_yaml
from distill_tune.study.warm_start import warm_start_outcomes
from distill_tune.training.kept_models import model_folder


def write_best(study: Study, directory: StudyDirectory, state: StudyState) -> None:
    """Write ``best/<backbone>.yaml`` for every backbone that has a winner.

    Each is a whole trial configuration, which ``distill-tune train --config`` takes as it is.
    """
    for backbone in study.backbones:
        winner = best(state, backbone.name)
        if winner is not None:
            config = study.trial_config(backbone.name, winner.params)
            choice = finalist_sentence(state, backbone.name)
            shown = quoted(state, winner)
            text = _heading(study, winner, shown, choice) + to_yaml(plain(config))
            directory.write_text(best_file(backbone.name), text)


def outcome_json(study: Study, directory: StudyDirectory, status: str) -> dict[str, Any]:
    """Return the outcome of a search for a program, as plain data."""
    state = directory.state()
    return {
        "study": study.study,
        "status": status,
        "stop": None if state.stop is None else state.stop._asdict(),
        "num_trials": len(state.trials),
        "metric": study.search.metric,
        "num_files_left_out": num_skipped(directory),
        "warnings": list(state.warnings),
        "best": {
            backbone.name: _winner(directory, state, best(state, backbone.name))
            for backbone in study.backbones
        },
        "finalists": finalists_json(state.finalists),
        "controls": {
            backbone: {arm: control_json(record) for arm, record in records.items()}
            for backbone, records in controls(state).items()
        },
        "warm_start": [outcome.sentence for outcome in warm_start_outcomes(plain(study), state)],
        "continued": list(continued_sentences(state)),
        "front": [one._asdict() for one in fronts(state)] if study.search.objectives else [],
        "paths": written_paths(study, directory, state),
        "tensorboard": f"tensorboard --logdir {_logdir(directory)}",
        "resume": resume_command(directory),
    }


def is_over(state: StudyState) -> bool:
    """Return whether the search is over for good: finished, or stopped by a rule but a budget's.

    What follows a search, such as the study's own ``confirm:``, follows then.
    """
    status = state.sessions[-1].status
    is_stopped = state.stop is not None and not state.stop.is_budget
    return status == "finished" or (status == "stopped" and is_stopped)


def require_success(state: StudyState) -> None:
    """Raise NoTrialSucceededError, with all reasons, if no trial has a value."""
    trials = list(state.trials.values())
    if any(trial.status in {"complete", "pruned"} for trial in trials):
        return
    reasons = sorted({f"{trial.reason}: {trial.detail}" for trial in trials})
    raise NoTrialSucceededError("\n  ".join(["no trial succeeded:", *reasons]))


def num_skipped(directory: StudyDirectory) -> int:
    """Return how many files were left out because they could not be read."""
    return max(
        (len(event["skipped"]) for event in directory.events() if event["event"] == "data"),
        default=0,
    )


def _winner(
    directory: StudyDirectory, state: StudyState, trial: TrialRecord | None
) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {
        "trial": trial.name,
        "status": trial.status,
        **quoted(state, trial)._asdict(),
        "epochs": trial.epochs,
        "params": trial.params,
        "config": directory.path(best_file(trial.backbone)),
    }


def written_paths(study: Study, directory: StudyDirectory, state: StudyState) -> dict[str, str]:
    """Return the files that a search has written: a name for each, and its path or URI."""
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
            found[f"best {backbone.name}"] = directory.path(best_file(backbone.name))
            model = model_folder(directory, winner.name)
            found |= {f"model {backbone.name}": model} if model else {}
    return found


def best_file(backbone: str) -> str:
    """Return the path of a backbone's best configuration in a study."""
    return f"best/{file_part(backbone)}.yaml"


def _logdir(directory: StudyDirectory) -> str:
    return shlex.quote(directory.path("tensorboard"))


def _heading(study: Study, winner: TrialRecord, shown: QuotedValue, choice: str) -> str:
    searched = ", ".join(winner.params) or "nothing"
    chosen = f"# Chosen by finalists: {choice}.\n" if choice else ""
    return (
        f"# Trial {winner.name} of study {study.study} ({winner.status}): "
        f"{study.search.metric} {shown.sentence} on the validation split, unconfirmed.\n"
        f"{chosen}"
        f"# Searched: {searched}.\n"
        f"# Train it: distill-tune train --config {file_part(winner.backbone)}.yaml --out model/\n"
        f"# On a CPU, with --threads {max(1, int(study.resources.cpus))}, that repeats the trial's "
        "numbers.\n"
    )
