"""The command ``distill-tune follow``."""

import json
from typing import Annotated

import typer

from distill_tune.cli.options import Json
from distill_tune.cli.running import console, reporting


def follow(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="wandb|mlflow|webhook=URL",
            help="A tracker (wandb=ENTITY/PROJECT, mlflow=URI) or an address for messages.",
        ),
    ],
    once: Annotated[
        bool, typer.Option("--once", help="Send what there is and end; for cron.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(metavar="DIR|URI", help="Where to remember what was sent, if not the study."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a study's trials to a tracker, or its news to a webhook, until no search runs."""
    with reporting():
        from distill_tune.records.directory import StudyDirectory
        from distill_tune.report.following.follow import FollowOptions
        from distill_tune.report.following.follow import follow as follow_study

        output = console(as_json=as_json)

        def say(line: str) -> None:
            output.print(line, markup=False, soft_wrap=True)

        options = FollowOptions(to, is_once=once, memory=memory, say=say)
        done = follow_study(StudyDirectory(study_dir), options)
        say(done.words)
        if as_json:
            typer.echo(json.dumps(done._asdict()))
