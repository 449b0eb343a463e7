"""Models that a study keeps: those of each backbone's best trials, complete and ready to use."""

from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import storage_at
from distill_tune.records.trials import StudyState, top

MODELS = "models"


def keep_best_models(directory: StudyDirectory, state: StudyState, keep_top: int) -> None:
    """Delete the models of ended trials that are not among their backbone's best."""
    storage = storage_at(directory.root)
    found = storage.folders(f"{MODELS}/*")
    if not found:
        return
    best = {trial.name for name in state.backbones for trial in top(state, name, keep_top)}
    over = {trial.name for trial in state.trials.values() if trial.ended_at is not None}
    for folder in found:
        if folder.rpartition("/")[2] in over - best:
            storage.remove(folder)


def model_folder(directory: StudyDirectory, trial: str) -> str | None:
    """Return the folder of a trial's model; None if it was not kept."""
    name = f"{MODELS}/{trial}"
    return directory.path(name) if directory.has(name) else None
