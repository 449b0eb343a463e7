"""Models that a study keeps: those of each backbone's best trials, complete and ready to use."""

from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import storage_at
from distill_tune.records.trials import StudyState, top
from distill_tune.study.yaml.text import load

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


def num_complete_models(directory: StudyDirectory, like: str, epochs: int) -> int:
    """Return how many models there are of complete trials, which rank before all pruned ones.

    Args:
        directory: Of the study.
        like: Name of a trial of their backbone.
        epochs: Epochs of a complete trial.
    """
    backbone = like.rpartition("-")[0]
    folders = storage_at(directory.root).folders(f"{MODELS}/{backbone}-*")
    names = [folder.rpartition("/")[2] for folder in folders]
    return sum(
        _epochs(directory, name) == epochs for name in names if name.rpartition("-")[0] == backbone
    )


def _epochs(directory: StudyDirectory, trial: str) -> int | None:
    """Return after how many epochs a trial wrote its model; None if that cannot be read."""
    file = f"{MODELS}/{trial}/model.yaml"
    try:
        return int(load(directory.read_text(file), file)[1]["made"]["epochs"])
    except (DistillTuneError, KeyError, TypeError, ValueError):
        # Another process is writing or deleting it, or it is damaged.
        return None


def model_folder(directory: StudyDirectory, trial: str) -> str | None:
    """Return the folder of a trial's model; None if it was not kept."""
    name = f"{MODELS}/{trial}"
    return directory.path(name) if directory.has(name) else None
