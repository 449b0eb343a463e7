"""Origin of a study and next steps: images, versions, seeds, machine, commands."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from distill_tune.errors import show
from distill_tune.records.directory import ARMS_FOLDER, STUDY_FILE, file_part
from distill_tune.records.formatting import class_sizes
from distill_tune.records.trials import TrialRecord
from distill_tune.report.study_records import Source

_NUMBERS = {
    "num_train": "training",
    "num_val": "validation",
    "num_unlabelled": "without labels",
}


class Command(NamedTuple):
    """A suggested next command.

    Attributes:
        purpose: What the command is for.
        line: Command line to copy into a shell.
    """

    purpose: str
    line: str


def commands(source: Source) -> tuple[Command, ...]:
    """Return the commands that resume, confirm, train and show a study."""
    root = shlex.quote(source.directory.root)
    found = []
    if source.status.state not in {"finished", "running"}:
        found.append(Command("resume the search", f"distill-tune resume {root}"))
    found += _confirm(source, root)
    confirmed = source.confirmation.backbones if source.confirmation else ()
    trials = {one.backbone: one.trial for one in confirmed}
    for backbone, winner in source.status.best.items():
        if winner is not None:
            found.append(_train(source, winner, trials.get(backbone, winner.name)))
    for arm in _tuned_arms(source):
        line = f"distill-tune report {shlex.quote(f'{source.directory.root}/{ARMS_FOLDER}/{arm}')}"
        found.append(Command(f"see the search of {arm}, an arm of the confirmation", line))
    logdir = shlex.quote(f"{source.directory.root}/tensorboard")
    found.append(Command("see every curve", f"tensorboard --logdir {logdir}"))
    found.append(Command("update this report", f"distill-tune report {root}"))
    return tuple(found)


def _confirm(source: Source, root: str) -> list[Command]:
    """Return the command that begins or finishes the confirmation; none if it is over."""
    if not any(source.status.best.values()):
        return []
    if source.confirmation is None:
        # A study with the section says how many seeds and which arms.
        seeds = "" if source.plan.at("confirm") else " --seeds 5"
        line = f"distill-tune confirm {root}{seeds}"
        return [Command("check whether the gain is real", line)]
    progress = source.confirmation.progress
    if progress is None or progress.is_over or not progress.command:
        return []
    return [Command("finish the confirmation", _shown(progress.command))]


def _train(source: Source, winner: TrialRecord, confirmed: str) -> Command:
    """Return the command that trains a backbone's configuration: the confirmed one, if any."""
    root, name = source.directory.root, file_part(winner.backbone)
    out = shlex.quote(f"model-{name}")
    if confirmed != winner.name:
        line = f"distill-tune train --study {shlex.quote(root)} --trial {shlex.quote(confirmed)}"
        return Command(f"train the confirmed {winner.backbone}", f"{line} --out {out}")
    config = shlex.quote(f"{root}/best/{name}.yaml")
    line = f"distill-tune train --config {config} --out {out}"
    return Command(f"train the best {winner.backbone}", line)


def _tuned_arms(source: Source) -> list[str]:
    """Return the arms of the confirmation that had their own search."""
    backbones = source.confirmation.backbones if source.confirmation else ()
    names = dict.fromkeys(arm.arm for one in backbones for arm in one.arms)
    return [name for name in names if source.directory.has(f"{ARMS_FOLDER}/{name}/{STUDY_FILE}")]


def reproduction_facts(source: Source) -> dict[str, str]:
    """Return the facts that are needed to repeat the study, by name."""
    return {name: text for name, text in _facts(source) if text}


def _facts(source: Source) -> Iterator[tuple[str, str]]:
    plan = source.plan
    yield "images", _data(plan.data)
    yield "training images of each class", _class_sizes(plan.data)
    yield "digest of the images", _text(plan.data.get("digest"))
    for name, path in (
        ("seed of the images", "data.seed"),
        ("sampler", "search.sampler"),
        ("seed of the sampler", "search.seed"),
        ("seed of the trials", "trial.seed"),
    ):
        yield name, _text(plan.at(path))
    yield "confirmation seeds", _seeds(source)
    yield "trials asked for", _text(plan.at("search.num_trials"))
    yield "epochs of stage 3", _text(plan.max_epochs)
    yield "rungs", ", ".join(map(str, plan.rungs[:20]))
    yield "searched", "; ".join(f"{p}: {d.describe()}" for p, d in plan.dimensions.items())
    yield "distill-tune", _text(plan.version)
    for name, value in list(plan.environment.items())[:20]:
        yield str(name), _text(value)
    yield "a trial takes", f"{source.device[1]:g} {source.device[0]}"
    yield "command", _command(source)


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    classes = data.get("classes")
    count = f", {len(classes)} classes" if isinstance(classes, list) else ""
    sizes = ", ".join(
        f"{data[key]} {name}"
        for key, name in _NUMBERS.items()
        if isinstance(data.get(key), int) and (data[key] or key != "num_unlabelled")
    )
    return f"{_text(data.get('name'))}{count}" + (f", {sizes}" if sizes else "")


def _class_sizes(data: Mapping[str, Any]) -> str:
    """Return the sizes of the classes; empty if all are equal, or in a log of an older version."""
    classes, counts = data.get("classes"), data.get("train_counts")
    if not isinstance(classes, list) or not isinstance(counts, list):
        return ""
    is_sound = len(classes) == len(counts) and all(isinstance(one, int) for one in counts)
    return class_sizes(list(map(str, classes)), counts) if is_sound and len(set(counts)) > 1 else ""


def _seeds(source: Source) -> str:
    if source.confirmation is None:
        return ""
    seeds = {s for one in source.confirmation.backbones for a in one.arms for s in a.accuracies}
    return ", ".join(map(str, sorted(seeds)))


def _command(source: Source) -> str:
    if not source.state.sessions:
        return ""
    return _shown(source.state.sessions[-1].command)


def _shown(command: str) -> str:
    """Return a command line without the folder of the program."""
    first, _, rest = command.partition(" ")
    return f"{PurePath(first).name} {rest}".strip()


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else show(value)
