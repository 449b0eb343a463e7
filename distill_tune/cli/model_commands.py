"""The commands that make a model and use it: each imports what it needs inside itself."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_tune.cli.options import Device, Json, Sets
from distill_tune.cli.running import INTERRUPTED, console, fail, reporting
from distill_tune.errors import InputError, Text

if TYPE_CHECKING:
    from distill_tune.training import Recipe


def train(  # noqa: PLR0913 - the options of the command line
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the model.")],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Such as best/resnet50.yaml.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="STUDY_DIR", help="Instead: a trial of this study.")
    ] = None,
    trial: Annotated[
        str | None, typer.Option(metavar="ID", help="Its number or name; otherwise the best one.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose best trial, if there are several.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Another seed than the configuration's.")
    ] = None,
    assignments: Sets = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; a trial's own give its very numbers.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one configuration through all stages and write the model.

    Interrupted or killed, it goes on by the same command.
    """
    with reporting():
        recipe = _recipe(config, study, trial, backbone).changed(assignments or [], seed)
        import torch

        from distill_tune.cli.training_view import TrainingView
        from distill_tune.model.device import chosen_device
        from distill_tune.training import train_model

        if threads or recipe.threads:
            torch.set_num_threads(threads or recipe.threads or 1)
        output = console(as_json=as_json)
        where = chosen_device(device)
        try:
            with TrainingView(output) as view:
                result = train_model(recipe, out, say=view.say, listen=view.listen, device=where)
        except KeyboardInterrupt:
            command = shlex.join(["distill-tune", *sys.argv[1:]])
            fail(f"interrupted; go on with:\n  {command}", INTERRUPTED)
        for path in result["paths"].values():
            view.say(f"written: {path}")
        view.say(f"validation accuracy {result['validation_accuracy']:.4f}; next:")
        for command in ("evaluate {}", "predict {} IMAGES", "generate {} --hard --out hard/"):
            view.say(f"  distill-tune {command.format(shlex.quote(str(out)))}")
        if as_json:
            typer.echo(json.dumps(result))


def _recipe(
    config: Path | None, study: str | None, trial: str | None, backbone: str | None
) -> "Recipe":
    """Return what is to be trained: a file, or a trial of a study."""
    if (config is None) == (study is None):
        met = Text("nothing" if config is None else "both --config and --study")
        raise InputError("--config", got=met, expected="either --config FILE or --study STUDY_DIR")
    if config is not None:
        for option, value in (("--trial", trial), ("--backbone", backbone)):
            if value is not None:
                raise InputError(option, got=value, expected="it beside --study, not --config")
        from distill_tune.training import read_recipe

        return read_recipe(config)
    from distill_tune.records import StudyDirectory
    from distill_tune.search.recipe import trial_recipe

    return trial_recipe(StudyDirectory(str(study)), trial=trial, backbone=backbone)
