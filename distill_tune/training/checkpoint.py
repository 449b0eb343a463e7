"""The folder of a training that is not over: its lock, its checkpoints, and the way on from them.

Until the model is there, ``unfinished_training/`` holds checkpoints as a search writes them, and a
lock by which a training knows its own folder among others.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from distill_tune import __version__
from distill_tune.checkpoints import local_copies, read_checkpoint
from distill_tune.distill.trial import Report, Trial
from distill_tune.errors import DiskFullError, StudyError, is_disk_full
from distill_tune.interfaces import ImageData, plain
from distill_tune.study import differences

NAME = "training"
"""Of its checkpoints, where those of a search have the name of their trial."""
_FOLDER = "unfinished_training"
BEGINNING = f"{_FOLDER}/lock"
"""By which the folder of a training that is not over is known."""
_LOCK_PATIENCE_S = 1.0

Say = Callable[[str], object]


@contextmanager
def opened(out: Path) -> Iterator[None]:
    """Keep other trainings out of the folder, and turn the disk's refusals into messages.

    Raises:
        StudyError: Another one is at work there, or nothing can be written.
        DiskFullError: There is no room.
    """
    try:
        (out / _FOLDER).mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / BEGINNING)
        with lock.acquire(timeout=_LOCK_PATIENCE_S):
            yield
    except Timeout:
        raise StudyError(f"{out}: another training is at work there") from None
    except OSError as error:
        said = error.strerror or str(error)
        if is_disk_full(error):
            said += "\nMake room, then go on with the same command."
            raise DiskFullError(f"{out}: {said}") from error
        raise StudyError(f"{out}: {said}") from error


def root(out: Path) -> str:
    """Return where its checkpoints are, as those of a study are below its root."""
    return str(out.absolute() / _FOLDER)


def clear(out: Path) -> None:
    """Delete what only a training needs that is not over; and the folder, if that was all."""
    shutil.rmtree(out / _FOLDER, ignore_errors=True)
    with suppress(OSError):
        out.rmdir()


def state_of(trial: Trial, images: ImageData, report: Report, number: int) -> dict[str, Any]:
    """Return a checkpoint: tensors and plain data only.

    Args:
        trial: As it is at a report.
        images: Its data.
        report: At which it is.
        number: How many reports there have been, this one included.
    """
    return {
        "trial": trial.state_dict(),
        "config": plain(trial.config),
        "digest": images.digest,
        "version": __version__,
        "at": f"{report.stage} {report.step}/{report.num_steps}",
        "number": number,
    }


def resumed(make: Callable[[], Trial], images: ImageData, out: Path, say: Say) -> tuple[Trial, int]:
    """Return the trial as its newest sound checkpoint has it, or as it begins.

    Args:
        make: Returns the trial as it begins.
        images: Its data.
        out: Where its checkpoints are.
        say: Takes a line.

    Returns:
        The trial, and how many reports there have been.

    Raises:
        StudyError: It is of another configuration, version or of other images; all are listed.
    """
    trial = make()
    for folder in local_copies(root(out), NAME, out):
        try:
            saved = read_checkpoint(folder, trial.data.device)
            found = _differences(saved, trial, images)
            if not found:
                trial.load_state_dict(saved["trial"])
                say(f"goes on after {saved['at']}")
                return trial, int(saved["number"])
        except torch.OutOfMemoryError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            say(f"warning: damaged checkpoint passed over: {_named(error, folder)}")
            trial = make()
        else:
            raise StudyError(
                "\n".join(
                    [
                        f"{out}: the training there was begun otherwise:",
                        *(f"  {line}" for line in found),
                        "Undo these changes, or give another --out.",
                    ]
                )
            )
    return trial, 0


def _named(error: Exception, folder: Path) -> str:
    """Return what is wrong with a checkpoint, beginning with where it is."""
    said = str(error).partition("\n")[0]
    return said if str(folder) in said else f"{folder}: got the state of something else ({said})"


def _differences(saved: dict[str, Any], trial: Trial, images: ImageData) -> list[str]:
    found = differences(saved["config"], plain(trial.config))
    # Where the images lie is nothing to the training, as long as they are the same.
    found.pop("data.root", None)
    if saved["digest"] != images.digest:
        found["images"] = f"images: digest {saved['digest']} -> {images.digest}"
    if saved["version"] != __version__:
        found["version"] = f"version: {saved['version']} -> {__version__}"
    return list(found.values())
