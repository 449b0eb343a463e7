"""What a search leaves for people and for the next command."""

import shlex
from typing import TYPE_CHECKING, Any

from distill_tune.config import to_yaml
from distill_tune.interfaces import plain
from distill_tune.records import EPOCHS_FILE, STUDY_FILE, TRIALS_FILE, StudyDirectory
from distill_tune.report import final_summary
from distill_tune.study import Study
from distill_tune.trials import StudyState, TrialRecord, best

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


def outcome_view(study: Study, directory: StudyDirectory, status: str) -> "RenderableType":
    """Return the last words of a search: trials, winners, what was written, what to do next."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    state = directory.state()
    parts: list[RenderableType] = [final_summary(state)] if state.trials else []
    written = Table.grid(padding=(0, 2))
    for name, path in _paths(study, directory, state).items():
        written.add_row(name, Text(path, overflow="fold"))
    parts += [Text("\nwritten", style="italic"), written]
    parts += [Text("\nnext", style="italic"), Text(f"tensorboard --logdir {_board(directory)}")]
    if status != "finished":
        over = sum(trial.ended_at is not None for trial in state.trials.values())
        total = study.search.num_trials
        parts.append(
            Text(f"{status.replace('_', ' ')} after {over} of {total} trials; go on with:")
        )
        parts.append(Text(resume_command(directory)))
    return Group(*parts)


def outcome_json(study: Study, directory: StudyDirectory, status: str) -> dict[str, Any]:
    """Return the same for a program: plain data."""
    state = directory.state()
    return {
        "study": study.study,
        "status": status,
        "num_trials": len(state.trials),
        "metric": study.search.metric,
        "best": {
            backbone.name: _winner(directory, best(state, backbone.name))
            for backbone in study.backbones
        },
        "paths": _paths(study, directory, state),
        "tensorboard": f"tensorboard --logdir {_board(directory)}",
        "resume": resume_command(directory),
    }


def resume_command(directory: StudyDirectory) -> str:
    """Return the command that goes on with a study."""
    return f"distill-tune resume {shlex.quote(directory.root)}"


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
        "tensorboard": directory.path("tensorboard"),
    }
    for backbone in study.backbones:
        if best(state, backbone.name) is not None:
            found[f"best {backbone.name}"] = directory.path(_best_file(backbone.name))
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
