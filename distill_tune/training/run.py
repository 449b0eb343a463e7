"""The training of one configuration: through all stages, with checkpoints, to a model folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from distill_tune.checkpoint_writer import CheckpointWriter
from distill_tune.config import Document, locate_error, parse
from distill_tune.datasets.moved import told_how_to_go_on
from distill_tune.datasets.value_range import range_line
from distill_tune.distill.evaluation import evaluate
from distill_tune.distill.policies import is_unfit
from distill_tune.distill.probe import probe
from distill_tune.distill.trial import Report, Trial
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError, InputError
from distill_tune.fitness_view import FitnessWatch
from distill_tune.interfaces import ImageData
from distill_tune.model import FILES, model_files
from distill_tune.model.out import refuse_unusable
from distill_tune.storage import storage_at
from distill_tune.training.checkpoint import (
    BEGINNING,
    NAME,
    Say,
    clear,
    opened,
    resumed,
    root,
    state_of,
)
from distill_tune.training.recipe import Recipe
from distill_tune.training.stopping import stopping_at_a_report

_CHECKPOINT_SHARE = 0.05
"""As that of a search, by default."""


def train_model(
    recipe: Recipe,
    out: Path,
    *,
    say: Say,
    listen: Callable[[Report], object] | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Run all stages of a configuration and write the model into a folder.

    Stopped in any way, it goes on when it is called again: on a CPU to the same model, bit for
    bit. Until it is over the folder holds its checkpoints, then the model alone.

    Args:
        recipe: What to train.
        out: The folder; made, and refused if it holds anything but this training's beginning.
        say: Takes a line.
        listen: Takes every report of the training.
        device: Where to compute; None: on a GPU if there is one.

    Returns:
        ``validation_accuracy``, ``metrics`` and the ``paths`` of what was written.

    Raises:
        InputError: A configuration that is not usable, or a folder that holds other things.
        StudyError: The folder has the beginning of another training, or one is at work there.
        DivergedError: The training cannot go on.
        KeyboardInterrupt: It was stopped by Ctrl-C, or SIGTERM.
    """
    config = parse(TrialConfig, recipe.document)
    refuse_unusable(out, beginning=BEGINNING)
    images = _load_images(config, recipe.document)
    for remark in _remarks(images, recipe):
        say(remark)
    chosen = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with opened(out):
        trial, number = resumed(lambda: Trial(config, images, chosen), images, out, say)
        fitness = FitnessWatch(is_told=is_unfit(trial.state.gan.warmed))
        try:
            for report in _checkpointed(trial, images, out, number):
                if listen is not None:
                    listen(report)
                warning = fitness.take(report)
                if warning:
                    say(f"warning: {warning}")
        except DivergedError:
            clear(out)
            raise
        except torch.OutOfMemoryError as error:
            raise DivergedError("out_of_memory", str(error).splitlines()[0]) from error
        result = _write(trial, images, out, recipe)
        clear(out)
    return result


def _write(trial: Trial, images: ImageData, out: Path, recipe: Recipe) -> dict[str, Any]:
    """Write the model of a trial that is done; return what is told of it."""
    numbers = evaluate(trial.state.classifier, trial.data.val)
    metrics = {f"val/{name}": value for name, value in numbers.items()}
    files = model_files(trial, images, recipe.origin, metrics)
    for name, content in files.items():
        storage_at(str(out)).write(name, content)
    paths = {what: str((out / name).absolute()) for what, name in FILES.items() if name in files}
    return {"validation_accuracy": metrics["val/accuracy"], "metrics": metrics, "paths": paths}


def _checkpointed(trial: Trial, images: ImageData, out: Path, number: int) -> Iterator[Report]:
    """Train to the end; write checkpoints as often as their share of the time allows."""
    writer = CheckpointWriter(root(out), NAME, _CHECKPOINT_SHARE)
    try:
        with stopping_at_a_report() as is_asked_to_stop:
            for count, report in enumerate(trial.run(), start=number + 1):
                make = partial(state_of, trial, images, report, count)
                yield report
                if trial.state.stage == "done":
                    return
                if is_asked_to_stop():
                    writer.save(count, make)
                    raise KeyboardInterrupt
                writer.offer(count, make)
    finally:
        writer.close()


def _load_images(config: TrialConfig, document: Document) -> ImageData:
    root = getattr(config.data, "root", None)
    try:
        with told_how_to_go_on(root, "", [document.source]):
            images = config.data.load()
        probe(config, images)
    except InputError as error:
        where = "backbone" if error.where == "backbones" else error.where
        named = InputError(where, got=error.got, expected=error.expected, choices=error.choices)
        raise locate_error(named, document) from error
    return images


def _remarks(images: ImageData, recipe: Recipe) -> Iterator[str]:
    if images.skipped:
        yield f"{len(images.skipped)} unreadable files left out, such as {images.skipped[0]}"
    if told := range_line(images.value_ranges):
        yield told
    yield from (f"warning: {text}" for text in images.warnings)
    if recipe.digest not in {"", images.digest}:
        yield (
            f"warning: these are not the images of the study (digest {recipe.digest}, now "
            f"{images.digest}): the numbers will differ"
        )
