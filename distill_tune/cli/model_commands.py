"""Commands that train and use a model. Each imports its dependencies lazily."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from distill_tune.cli.options import Device, Json, Moved, Sets
from distill_tune.cli.running import INTERRUPTED, console, fail, reporting
from distill_tune.errors import InputError, Text

if TYPE_CHECKING:
    from distill_tune.training.recipe import Recipe

ModelDir = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model's folder, written by train or a search.")
]
UNREADABLE = 2


def train(  # noqa: PLR0913 - the options of the command line
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the model.")],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Such as best/resnet50.yaml.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="STUDY_DIR", help="Train a trial of this study instead.")
    ] = None,
    trial: Annotated[
        str | None, typer.Option(metavar="ID", help="Its number or name; otherwise the best one.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its best trial; needed if several.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed instead of the configuration's.")
    ] = None,
    assignments: Sets = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; a trial's own number reproduces it.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one configuration through all stages and write the model.

    If it is interrupted or killed, the same command resumes it.
    """
    with reporting():
        from distill_tune.cluster.user_environment import provide_user

        provide_user()
        recipe = _recipe(config, study, trial, backbone).changed(assignments or [], seed)
        from distill_tune.model.device import chosen_device
        from distill_tune.records.words.metric_names import validation_title
        from distill_tune.terminal.training_view import TrainingView
        from distill_tune.training.devices import torch_threads
        from distill_tune.training.train import train_model

        output = console(as_json=as_json)
        where = None if device is None else chosen_device(device)
        try:
            with torch_threads(threads or recipe.threads), TrainingView(output) as view:
                result = train_model(
                    recipe, out, say=view.say, listen=view.listen, expect=view.expect, device=where
                )
        except KeyboardInterrupt:
            command = shlex.join(["distill-tune", *sys.argv[1:]])
            fail(f"interrupted; go on with:\n  {command}", INTERRUPTED)
        for path in result["paths"].values():
            view.say(f"written: {path}")
        view.say(f"{validation_title(result['metric'])} {result['value']:.4f}; next:")
        for command in ("evaluate {}", "predict {} IMAGES", "generate {} --hard --out hard/"):
            view.say(f"  distill-tune {command.format(shlex.quote(str(out)))}")
        if as_json:
            typer.echo(json.dumps(result))


def _recipe(
    config: Path | None, study: str | None, trial: str | None, backbone: str | None
) -> "Recipe":
    """Return the recipe to train, from a file or from a trial of a study."""
    if (config is None) == (study is None):
        met = Text("nothing" if config is None else "both --config and --study")
        raise InputError("--config", got=met, expected="either --config FILE or --study STUDY_DIR")
    if config is not None:
        for option, value in (("--trial", trial), ("--backbone", backbone)):
            if value is not None:
                raise InputError(option, got=value, expected="it with --study, not --config")
        from distill_tune.training.recipe import read_recipe

        return read_recipe(config)
    from distill_tune.records.directory import StudyDirectory

    directory = StudyDirectory(str(study))
    directory.require()
    from distill_tune.training.trial_recipe import trial_recipe

    return trial_recipe(directory, trial=trial, backbone=backbone)


def evaluate(
    model_dir: ModelDir,
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Class folders or an .npz; otherwise its own data."),
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Split of its own data (val by default), or of other data with splits."),
    ] = None,
    assignments: Moved = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on images: overall, class by class, and what it confuses."""
    with reporting(folder="MODEL"):
        from distill_tune.cli.model_view import assessment_view
        from distill_tune.model import load_model
        from distill_tune.model.assessed_images import assessed_images
        from distill_tune.model.assessment import assess, assessment_json
        from distill_tune.model.device import chosen_device

        output = console(as_json=as_json)
        model = load_model(model_dir, chosen_device(device))
        images = assessed_images(model, data, split, assignments or [])
        for remark in images.remarks:
            output.print(f"warning: {remark}", markup=False, soft_wrap=True)
        output.print(f"{model_dir} on {images.name}", markup=False, soft_wrap=True)
        found = assess(model, images.split, is_validation=images.is_validation)
        for part in assessment_view(found):
            output.print(part)
        if as_json:
            remarks = {"data": images.name, "warnings": list(images.remarks)}
            typer.echo(json.dumps(remarks | assessment_json(found)))


def predict(
    model_dir: ModelDir,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES", help="Image files, or folders of them; no .npz."),
    ],
    *,
    top: Annotated[int, typer.Option(min=1, help="Classes per image, most probable first.")] = 1,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Predict the classes of images.

    Files that cannot be read are named on stderr; the exit code is then 2. The images of an .npz
    are evaluated with evaluate --data.
    """
    with reporting(folder="MODEL"):
        from distill_tune.cli.model_view import prediction_line
        from distill_tune.datasets.images.printable import printable
        from distill_tune.datasets.labelled_images import image_files
        from distill_tune.model import load_model
        from distill_tune.model.device import chosen_device
        from distill_tune.model.prediction import predict as predict_files

        model = load_model(model_dir, chosen_device(device))
        files = image_files(images, "IMAGES")
        widths = max(len(printable(str(file))) for file in files), max(map(len, model.classes))
        found = []
        for one in predict_files(model, files, top):
            if one.error:
                typer.echo(f"{printable(one.file)}: unreadable: {one.error}", err=True)
            elif not as_json:
                typer.echo(prediction_line(one, *widths))
            found.append(one)
        if as_json:
            typer.echo(json.dumps([one.as_json() for one in found]))
        unreadable = sum(bool(one.error) for one in found)
        if unreadable:
            fail(f"{unreadable} of {len(found)} files could not be read", UNREADABLE)


def generate(  # noqa: PLR0913 - the options of the command line
    model_dir: ModelDir,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the images.")],
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Repeatable; otherwise all classes."),
    ] = None,
    num: Annotated[int, typer.Option(min=1, max=100_000, help="Images of each class.")] = 64,
    hard: Annotated[
        bool,
        typer.Option(
            "--hard",
            help="Draw 8 times as many; keep those whose class the classifier finds least likely.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write synthetic images of a model's generator, a contact sheet and a table of them."""
    with reporting(folder="MODEL"):
        from distill_tune.cli.model_view import generation_table
        from distill_tune.model import load_model
        from distill_tune.model.device import chosen_device
        from distill_tune.model.generation import (
            GenerationRequest,
            generation_json,
            stray_warning,
            write_images,
        )
        from distill_tune.model.generation import generate as generate_images
        from distill_tune.model.output_folder import refuse_unusable

        refuse_unusable(out)
        output = console(as_json=as_json)
        model = load_model(model_dir, chosen_device(device))
        made = list(generate_images(model, GenerationRequest(classes or [], num, hard, seed)))
        paths = write_images(model, made, out)
        output.print(generation_table(model, made))
        if stray := stray_warning(model, made):
            output.print(f"warning: {stray}", markup=False, soft_wrap=True)
        for path in paths.values():
            output.print(f"written: {path}", markup=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps({"paths": paths, "classes": generation_json(model, made)}))


def export(
    model_dir: ModelDir,
    *,
    kind: Annotated[
        str, typer.Option("--format", metavar="NAME", help="torch-export or onnx.")
    ] = "torch-export",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Otherwise classifier.pt2 or .onnx in the folder."),
    ] = None,
) -> None:
    """Write a model as one program that does not need distill-tune.

    It takes images (uint8, 0..255, n x channels x size x size), and returns logits (n x classes).
    """
    with reporting(folder="MODEL"):
        from distill_tune.model import load_model
        from distill_tune.model.export import export_model

        model = load_model(model_dir)
        file = export_model(model, kind, out)
        channels, size = model.transforms.channels, model.transforms.image_size
        typer.echo(f"written: {file.absolute()}")
        typer.echo(f"  images: uint8 [n, {channels}, {size}, {size}] in 0..255, n >= 1")
        typer.echo(f"  logits: float32 [n, {len(model.classes)}], in the order of the classes")
