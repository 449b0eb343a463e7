"""Training of one configuration: through all stages, with checkpoints, to a model folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from distill_tune.cluster.compute_check import gpu_obstacle, unused_gpu
from distill_tune.datasets.images.value_range import range_line
from distill_tune.datasets.relocated_images import suggesting_new_location
from distill_tune.distill.compute.execution import require_compiler
from distill_tune.distill.configuration.probe import probe
from distill_tune.distill.monitoring.evaluation import evaluate
from distill_tune.distill.trial import Report
from distill_tune.distill.trial_config import TrialConfig
from distill_tune.errors import DivergedError, InputError, Parameter, Text
from distill_tune.interfaces import ImageData
from distill_tune.model import FILES
from distill_tune.model.output_folder import refuse_unusable
from distill_tune.records.words.metric_names import ACCURACY, on_validation
from distill_tune.study.absolute_paths import data_with_absolute_paths
from distill_tune.study.validation import Document, locate_error, parse
from distill_tune.training.checkpoints.runs import RunCheckpoints
from distill_tune.training.interrupt import stopping_at_a_report
from distill_tune.training.memory import named_failures
from distill_tune.training.recipe import Recipe
from distill_tune.training.run_spec import RunSpec
from distill_tune.training.run_times import RunTime, UnitTimes
from distill_tune.training.runner import Runner
from distill_tune.training.training_folder import (
    BEGINNING,
    NAME,
    TrainingProgress,
    clear,
    clear_rest,
    notes,
    opened,
    read_notes,
    root,
)

Say = Callable[[str], object]

_CHECKPOINT_SHARE = 0.05
"""The default of a search."""


def train_model(
    recipe: Recipe,
    out: Path,
    *,
    say: Say,
    listen: Callable[[Report], object] | None = None,
    expect: Callable[[RunTime], object] | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Run all stages of a configuration and write the model into a folder.

    A training that was stopped in any way resumes when this is called again; on a CPU it yields the
    same model, bit for bit. Until it ends, the folder holds its checkpoints; afterwards, the model
    alone.

    Args:
        recipe: What to train.
        out: The folder; created if missing, refused if it holds anything but this training,
            unfinished.
        say: Takes a line.
        listen: Takes every report of the training.
        expect: Takes an estimate of the time left, before the first report; ``listen`` feeds it.
        device: Where to compute; None: on a GPU if there is one.

    Returns:
        ``validation_accuracy``; ``metric``, by which the weights were kept, and its ``value``; all
        ``metrics``; and the ``paths`` of what was written.

    Raises:
        InputError: The configuration is not usable, or the folder holds other things.
        StudyError: The folder holds another unfinished training, or one is running there.
        DivergedError: The training cannot continue.
        KeyboardInterrupt: It was stopped by Ctrl-C or SIGTERM.
    """
    config = parse(TrialConfig, recipe.document)
    # The model's folder says where its images are, wherever it is read.
    config = config.model_copy(update={"data": data_with_absolute_paths(config.data)})
    clear_rest(out)
    refuse_unusable(out, beginning=BEGINNING)
    images, origin = _load_images(config, recipe.document)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _require_device(config, recipe.document, device)
    for remark in filter(None, (origin, *_remarks(images, recipe, device))):
        say(remark)
    if expect is not None:
        expect(RunTime(config, UnitTimes(len(images.train.labels))))
    spec = RunSpec(
        name=NAME,
        root=root(out),
        config=config,
        images=images,
        device=device,
    )
    with opened(out):
        try:
            with named_failures(config):
                runner = Runner(spec, partial(read_notes, spec=spec, out=out))
                _warn(runner, say)
                if runner.restored is not None:
                    say(f"resuming after {runner.restored.at}")
                for report in _checkpointed(runner, config, say):
                    if listen is not None:
                        listen(report)
                    _warn(runner, say)
                result = _write(runner, out, recipe)
        except DivergedError as error:
            # With more memory, it can resume from its checkpoints.
            if error.reason != "out_of_memory":
                clear(out)
            raise
        clear(out)
    return result


def _warn(runner: Runner[TrainingProgress], say: Say) -> None:
    for text in runner.take_warnings():
        say(f"warning: {text}")


def _write(runner: Runner[TrainingProgress], out: Path, recipe: Recipe) -> dict[str, Any]:
    """Write the model of a finished trial; return its metrics and paths."""
    metric = runner.trial.config.metric
    numbers = evaluate(runner.trial.state.classifier, runner.trial.data.val, metric)
    metrics = {on_validation(name): value for name, value in numbers.items()}
    names = runner.write_model(str(out), recipe.origin, metrics)
    paths = {what: str((out / name).absolute()) for what, name in FILES.items() if name in names}
    return {
        "validation_accuracy": metrics[ACCURACY],
        "metric": metric,
        "value": metrics[metric],
        "metrics": metrics,
        "paths": paths,
    }


def _checkpointed(
    runner: Runner[TrainingProgress], config: TrialConfig, say: Say
) -> Iterator[Report]:
    """Train to the end; write checkpoints as often as their share of the time allows."""
    before = runner.restored.number if runner.restored else 0
    checkpoints = RunCheckpoints(runner, _CHECKPOINT_SHARE)
    try:
        with stopping_at_a_report(say) as is_asked_to_stop:
            for number, report in enumerate(runner.reports(), start=before + 1):
                yield report
                if runner.trial.state.stage == "done":
                    return
                if is_asked_to_stop():
                    checkpoints.save(number, notes(report, number, config))
                    raise KeyboardInterrupt
                checkpoints.offer(number, notes(report, number, config))
    finally:
        runner.close()


def _load_images(config: TrialConfig, document: Document) -> tuple[ImageData, str]:
    """Return the images, and where the classifier's weights come from."""
    root = getattr(config.data, "root", None)
    try:
        with suggesting_new_location(root, "", [document.source]):
            images = config.data.load()
        origin = probe(config, images)
    except InputError as error:
        where = error.where.replace("backbones", "backbone", 1)
        named = InputError(where, got=error.got, expected=error.expected, choices=error.choices)
        raise locate_error(named, document) from error
    return images, origin


def _require_device(config: TrialConfig, document: Document, device: torch.device) -> None:
    """Raise an ``InputError`` if the device cannot compute as the configuration says."""
    is_gpu = device.type == "cuda"
    if why := gpu_obstacle(config.compute, device) if is_gpu else "":
        raise InputError(Parameter("device"), got=Text(f"{device}: {why}"), expected="cpu")
    try:
        require_compiler(config.compute, is_gpu=is_gpu)
    except InputError as error:
        raise locate_error(error, document) from error


def _remarks(images: ImageData, recipe: Recipe, device: torch.device) -> Iterator[str]:
    if device.type == "cpu" and (gpu_text := unused_gpu()):
        yield f"warning: {gpu_text}"
    if images.skipped:
        yield f"{len(images.skipped)} unreadable files left out, such as {images.skipped[0]}"
    if range_text := range_line(images.value_ranges):
        yield range_text
    yield from (f"warning: {text}" for text in images.warnings)
    if recipe.digest not in {"", images.digest}:
        yield (
            f"warning: these are not the images of the study (digest {recipe.digest}, now "
            f"{images.digest}): the numbers will differ"
        )
