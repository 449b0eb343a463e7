"""Folder of an unfinished training: its lock, its checkpoints, and how to resume from them.

Until the model is written, ``unfinished_training/``, by which a training recognises its own folder,
holds a lock and checkpoints as a search writes them.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune import __version__
from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DiskFullError, StudyError, is_disk_full
from distill_tune.model.folder import MODEL
from distill_tune.records.files.locks import held
from distill_tune.study.changes import PLACES, differences
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.stages import identity

NAME = "training"
"""Name of its checkpoints; those of a search have the name of their trial."""
BEGINNING = "unfinished_training"
"""Folder in it by which the folder of an unfinished training is recognised."""
_LOCK = f"{BEGINNING}/lock"
_ENDED = f".{BEGINNING}.ended"
_LOCK_PATIENCE_S = 1.0


@contextmanager
def opened(out: Path) -> Iterator[None]:
    """Keep other trainings out of the folder, and turn errors of the disk into messages.

    Raises:
        StudyError: Another training is running there, or nothing can be written.
        DiskFullError: There is no room.
    """
    try:
        (out / BEGINNING).mkdir(parents=True, exist_ok=True)
        busy = f"{out}: another training is running there"
        with held(str(out / _LOCK), busy, patience_s=_LOCK_PATIENCE_S):
            yield
    except DiskFullError as error:
        raise DiskFullError(f"{error}\nMake room, then go on with the same command.") from error
    except OSError as error:
        message = error.strerror or str(error)
        if is_disk_full(error):
            message += "\nMake room, then go on with the same command."
            raise DiskFullError(f"{out}: {message}") from error
        raise StudyError(f"{out}: {message}") from error


def root(out: Path) -> str:
    """Return the root of its checkpoints, which lie below it as in a study."""
    return str(out.absolute() / BEGINNING)


def clear(out: Path) -> None:
    """Delete what only an unfinished training needs, and the folder if that was all.

    It gets another name first: if this is killed, the training has ended, whatever is left of it.
    """
    with suppress(OSError):
        (out / BEGINNING).rename(out / _ENDED)
    for name in (_ENDED, BEGINNING):
        shutil.rmtree(out / name, ignore_errors=True)
    with suppress(OSError):
        out.rmdir()


def clear_rest(out: Path) -> None:
    """Delete what is left of a training that was killed while it deleted its checkpoints."""
    with suppress(OSError):
        shutil.rmtree(out / _ENDED, ignore_errors=True)
        # A version that did not rename the folder may have deleted the lock first.
        if (out / MODEL).is_file() and not (out / _LOCK).exists():
            shutil.rmtree(out / BEGINNING, ignore_errors=True)


class TrainingProgress(NamedTuple):
    """Progress of a training, as its checkpoints record it.

    Attributes:
        at: The last report, such as ``joint 3/20``.
        number: Reports so far.
    """

    at: str
    number: int


def notes(report: Report, number: int, config: TrialConfig) -> dict[str, Any]:
    """Return what a checkpoint holds beside the trial's state.

    Args:
        report: The last one.
        number: Reports so far, this one included.
        config: The trial's.
    """
    at = f"{report.stage} {report.step}/{report.num_steps}"
    return {"config": identity(config), "version": __version__, "at": at, "number": number}


def read_notes(saved: dict[str, Any], spec: RunSpec, out: Path) -> TrainingProgress:
    """Return how far the training of a checkpoint is.

    Raises:
        KeyError: It is not a checkpoint of a training.
        StudyError: It has another configuration, version or other images; all differences are
            listed.
    """
    found = _differences(saved, spec)
    if found:
        lines = [
            f"{out}: the training there was started differently:",
            *(f"  {line}" for line in found),
            "Undo these changes, or choose another folder.",
        ]
        raise StudyError("\n".join(lines))
    return TrainingProgress(str(saved["at"]), int(saved["number"]))


def _differences(saved: dict[str, Any], spec: RunSpec) -> list[str]:
    found = differences(saved["config"], identity(spec.config))
    # The folders of the images may differ, as long as the images are the same.
    found = {path: line for path, line in found.items() if path not in PLACES}
    if saved["digest"] != spec.images.digest:
        found["images"] = f"images: digest {saved['digest']} -> {spec.images.digest}"
    if saved["version"] != __version__:
        found["version"] = f"version: {saved['version']} -> {__version__}"
    return list(found.values())
