"""The command line. Each command imports its dependencies lazily, so that --help is fast."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from distill_tune import __version__
from distill_tune.cli import model_commands
from distill_tune.cli.check_command import check
from distill_tune.cli.compare_command import compare
from distill_tune.cli.examples import examples
from distill_tune.cli.follow_command import follow
from distill_tune.cli.new_command import new
from distill_tune.cli.options import Changed, Json, Moved, Plugins, Sets, with_plugins_first
from distill_tune.cli.optuna_command import optuna
from distill_tune.cli.report_command import report
from distill_tune.cli.running import (
    BROKEN_PIPE,
    CommandOptions,
    console,
    opening,
    prepare,
    reporting,
    run_confirmation,
    run_dry,
    run_search,
)
from distill_tune.cli.warm_start_option import ContinueFrom, WarmStartFrom, WarmStartTrials
from distill_tune.errors import InputError, Text
from distill_tune.plugins import use

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Search the hyperparameters of GAN distillation, on a laptop or a GPU cluster.",
)

NumTrials = Annotated[
    int | None, typer.Option(metavar="TOTAL", help="Trials in total, finished ones included.")
]
TimeBudget = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Stop after this time; resumable.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A Ray cluster to join: auto or HOST:PORT."),
]
ScaleTo = Annotated[
    int | None,
    typer.Option(metavar="TRIALS", min=1, help="Ask the cluster's autoscaler for so much room."),
]
AllowChanged = Annotated[
    bool,
    typer.Option(
        "--allow-changed",
        help="Resume even if version, data.root, sampler, seed or num_startup_trials changed.",
    ),
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would take; write nothing.")]
NoSharedStages = Annotated[
    bool,
    typer.Option(
        "--no-shared-stages",
        help="Let every trial compute all of its stages itself: same results, slower.",
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    plugins: Plugins = None,
) -> None:
    with reporting():
        use(plugins or [])
    if version:
        typer.echo(f"distill-tune {__version__}")
        raise typer.Exit


app.command(epilog=examples("check"))(check)
app.command(epilog=examples("new"))(new)


@app.command(epilog=examples("search"))
def search(  # noqa: PLR0913 - the options of the command line
    *,
    space: Annotated[Path, typer.Option(metavar="FILE", help="The study as a YAML file.")],
    storage: Annotated[str, typer.Option(metavar="DIR|URI", help="Where studies go.")] = "runs",
    name: Annotated[str | None, typer.Option(help="Overrides the file's study name.")] = None,
    num_trials: NumTrials = None,
    time_budget: TimeBudget = None,
    assignments: Sets = None,
    warm_start: WarmStartFrom = None,
    warm_start_trials: WarmStartTrials = None,
    continue_from: ContinueFrom = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume it if it exists.")] = False,
    allow_changed: AllowChanged = False,
    no_shared_stages: NoSharedStages = False,
    address: Address = None,
    scale_to: ScaleTo = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Find the best configuration of every backbone of a study."""
    with reporting():
        if dry_run and resume:
            raise InputError("--dry-run", got=Text("--resume too"), expected="one of them")
        prepare(address)
        with opening(as_json=as_json):
            from distill_tune.study.opened_study import StudyRequest, WarmStartRequest, open_new

            changes = {"name": name, "num_trials": num_trials, "time_budget_s": time_budget}
            others = WarmStartRequest(warm_start, warm_start_trials), tuple(continue_from or ())
            request = StudyRequest(space, storage, assignments or [], changes, *others)
            found = open_new(request, resume=resume, allow_changed=allow_changed)
        options = CommandOptions(address, not no_shared_stages, as_json, allow_changed, scale_to)
        if dry_run:
            run_dry(found, options)
        else:
            run_search(found, options)


@app.command(epilog=examples("resume"))
def resume(  # noqa: PLR0913 - the options of the command line
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    num_trials: NumTrials = None,
    time_budget: TimeBudget = None,
    assignments: Changed = None,
    allow_changed: AllowChanged = False,
    no_shared_stages: NoSharedStages = False,
    address: Address = None,
    scale_to: ScaleTo = None,
    as_json: Json = False,
) -> None:
    """Resume a study that was interrupted, or give it more trials."""
    with reporting():
        prepare(address, study_dir)
        with opening(as_json=as_json):
            from distill_tune.study.opened_study import open_stored

            changes = {"num_trials": num_trials, "time_budget_s": time_budget}
            found = open_stored(study_dir, changes, assignments or [])
        options = CommandOptions(address, not no_shared_stages, as_json, allow_changed, scale_to)
        run_search(found, options)


@app.command(epilog=examples("status"))
def status(
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing it until no search runs, or Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the status of a study; reads plain files only."""
    with reporting():
        from distill_tune.records.directory import StudyDirectory
        from distill_tune.terminal.study_status import current_status, status_data
        from distill_tune.terminal.watch import watch as keep_showing

        directory = StudyDirectory(study_dir)
        directory.require()
        if watch:
            with suppress(KeyboardInterrupt):
                keep_showing(directory, console(as_json=as_json))
        if as_json:
            typer.echo(json.dumps(status_data(directory)))
        elif not watch:
            console(as_json=False).print(current_status(directory))


app.command(epilog=examples("report"))(report)
app.command(epilog=examples("compare"))(compare)
app.command(epilog=examples("follow"))(follow)
app.command(epilog=examples("optuna"))(optuna)
app.command(epilog=examples("train"))(model_commands.train)
app.command(epilog=examples("evaluate"))(model_commands.evaluate)
app.command(epilog=examples("predict"))(model_commands.predict)
app.command(epilog=examples("generate"))(model_commands.generate)
app.command(epilog=examples("export"))(model_commands.export)


@app.command(epilog=examples("confirm"))
def confirm(  # noqa: PLR0913 - the options of the command line
    study_dir: Annotated[str, typer.Argument(metavar="STUDY_DIR", help="Such as runs/resnet.")],
    *,
    top: Annotated[
        int | None, typer.Option(min=1, help="Best configurations to train again and choose from.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Fresh seeds of every arm; an interval needs 3.")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Arms to compare; 'all' for all.")
    ] = None,
    rival: Annotated[
        str | None, typer.Option(metavar="NAME", help="The verdict's rival, named beforehand.")
    ] = None,
    redraw: Annotated[
        bool | None,
        typer.Option("--redraw/--no-redraw", help="Draw the images anew with every seed."),
    ] = None,
    assignments: Moved = None,
    tune_arms: Annotated[
        bool, typer.Option("--tune-arms", help="Give each arm a search like the method's first.")
    ] = False,
    read_test_again: Annotated[
        bool,
        typer.Option(
            "--read-test-again",
            help="Train and test again what was already tested; the records show it.",
        ),
    ] = False,
    no_shared_stages: NoSharedStages = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Test whether the gain is real: the best configuration against its rivals, on fresh seeds."""
    with reporting():
        prepare(address, study_dir)
        with opening(as_json=as_json):
            from distill_tune.confirmation.commands import open_to_confirm

            asked = {"top": top, "seeds": seeds, "arms": arms, "rival": rival, "redraw": redraw}
            asked |= {"tune_arms": tune_arms or None}
            found = open_to_confirm(study_dir, asked, assignments or [])
        options = CommandOptions(address, not no_shared_stages, as_json)
        run_confirmation(found, options, is_again=read_test_again)


def main() -> None:
    """Run the command line.

    If the reader of the output closes the pipe early, as ``head`` does, the program exits silently.
    """
    try:
        app(args=with_plugins_first(sys.argv[1:]))
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(BROKEN_PIPE)
        raise
