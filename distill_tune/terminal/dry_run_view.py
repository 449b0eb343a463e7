"""A dry run as people read it, and as a program does."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from distill_tune.cluster.resources import in_words
from distill_tune.interfaces import plain
from distill_tune.records.formatting import duration
from distill_tune.records.gpu_use import GpuUse, packing_words
from distill_tune.study.study import Study
from distill_tune.terminal.result_table import result_table
from distill_tune.tuning.dry_run.estimate import Measured
from distill_tune.tuning.dry_run.plan import DryRun
from distill_tune.tuning.dry_run.rehearsal import Parts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_STEPS = {
    "classifier_step": "a step of stage 1",
    "warmup_step": "a step of the warm-up",
    "triplet_step": "a step of the triplet pre-training",
    "joint_step": "a step of stage 3",
    "validate": "validation",
    "refresh": "new hard and easy images",
    "monitor": "a look at the GAN",
}


def dry_run_view(found: DryRun) -> "Iterator[RenderableType]":
    """Yield the space, the first proposals, what was measured and what follows."""
    yield _space_table(found.study)
    yield _proposals_table(found)
    yield _parts_table(found.parts)
    yield _stages_table(found)
    if found.work.rungs:
        yield _rungs_table(found)
    yield _time_table(found)
    yield _disk_table(found)
    for name, one in found.measured.items():
        if one.gpu_bytes is not None:
            yield packing_words(name, GpuUse(*one.gpu_bytes, None))
    yield ""
    yield from remarks(found)


def remarks(found: DryRun) -> Iterator[str]:
    """Yield what the estimate leaves out."""
    study = found.study
    yield "Nothing was written. " + _how_long(found)
    gan = study.trial.gan
    if study.trial.joint.has_gan and gan.warmup_steps == "auto":
        yield (
            "A warm-up ends once the generator follows its classes: counted is the longest, "
            f"{gan.warmup_limit} steps."
        )
    if study.search.checkpoint_share < 1:
        share = f"{study.search.checkpoint_share:.0%}"
        yield f"Not counted: checkpoints, at most {share} of a trial's time; retries."
    if study.confirm is not None:
        yield "Not counted: the confirmation that follows this search."
    limit = study.search.time_budget_s
    if limit is not None:
        yield f"The time budget ends a session after {duration(limit)}."


def _how_long(found: DryRun) -> str:
    guess = found.estimate
    low, high = guess.total(guess.trials_low), guess.total(guess.trials_high)
    span = f" ({duration(low)} to {duration(high)})" if round(low) < round(high) else ""
    return f"The search would take about {duration(guess.total(guess.trials))}{span}."


def _space_table(study: Study) -> "Table":
    table = _table("space", "dimension", "type", "range", "default")
    base = plain(study.trial)
    for path, dimension in study.space.dimensions.items():
        room, _, field = path.partition(".")
        text = dimension.describe()
        values = text[text.index("(") :] if "(" in text else text
        table.add_row(path, dimension.kind, escape(values), _short(base[room][field]))
    return table


def _proposals_table(found: DryRun) -> "Table":
    names = [f"{one.backbone}-{one.number:04d}" for one in found.proposals]
    table = _table("first proposals", "dimension", *names)
    for path in found.study.space.dimensions:
        table.add_row(path, *(_short(one.params[path]) for one in found.proposals))
    return table


def _parts_table(parts: Mapping[str, Parts]) -> "Table":
    table = _table("measured, seconds", "", *parts)
    for name, words in _STEPS.items():
        table.add_row(words, *(f"{getattr(one, name):.3f}" for one in parts.values()))
    return table


def _stages_table(found: DryRun) -> "Table":
    table = _table("stages", "stage", "time", "")
    for job in found.work.shared:
        takes = found.measured[job.backbone].times.of([job.stage])
        said = "found ready" if job.is_ready else "once for all trials"
        table.add_row(job.name, duration(takes), said)
    for name, one in found.measured.items():
        for stage in found.work.own[name]:
            table.add_row(f"{stage}/{name}", duration(one.times.of([stage])), "in every trial")
        epochs = len(one.times.joint)
        table.add_row(f"joint/{name}", duration(_joint_s(one)), f"in a trial of {epochs} epochs")
    return table


def _joint_s(one: Measured) -> float:
    return one.times.joint_start + sum(one.times.joint) + one.times.joint_end


def _rungs_table(found: DryRun) -> "Table":
    table = _table("rungs, as expected", "epoch", "trials", "go on")
    for rung in found.estimate.rungs:
        table.add_row(str(rung.epoch), f"{rung.trials:.0f}", f"{rung.share:.0%}")
    return table


def _time_table(found: DryRun) -> "Table":
    guess, epochs = found.estimate, found.study.max_epochs
    slots = f"{found.slots.count} at a time, {in_words(found.slots.bundle)} each"
    table = _table(f"time of {found.work.num_trials} trials, {slots}", "", "pruned", "unpruned")
    both = guess.trials, guess.trials_unpruned
    table.add_row("start-up", *([duration(guess.start)] * 2))
    table.add_row("shared stages", *([duration(guess.shared)] * 2))
    table.add_row("trials", *map(duration, both))
    table.add_row("in all", *(duration(guess.total(trials)) for trials in both))
    table.add_row("hours", *(f"{guess.total(trials) / 3600:.2f}" for trials in both))
    table.add_row("epochs a trial", f"{guess.epochs:.1f}", str(epochs))
    return table


def _disk_table(found: DryRun) -> "Table":
    from rich.filesize import decimal

    disk = found.estimate.disk
    table = _table("disk", "", "at most")
    table.add_row("checkpoints, while it runs", decimal(disk.checkpoints))
    table.add_row("models", decimal(disk.models))
    table.add_row("shared stages", decimal(disk.shared))
    table.add_row("TensorBoard", decimal(disk.board))
    table.add_row("records", decimal(disk.records))
    table.add_row("left in the end", decimal(disk.left))
    return table


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _table(title: str, *columns: str) -> "Table":
    return result_table(title, columns, text={"", "dimension", "type", "range", "stage"})


def dry_run_json(found: DryRun) -> dict[str, Any]:
    """Return the same for a program: plain data, seconds and bytes."""
    guess = found.estimate
    return {
        "study": found.study.study,
        "space": {p: d.describe() for p, d in found.study.space.dimensions.items()},
        "proposals": [one._asdict() for one in found.proposals],
        "slots": {"count": found.slots.count, "bundle": dict(found.slots.bundle)},
        "parts_s": {name: one._asdict() for name, one in found.parts.items()},
        "stages_s": {name: one.times._asdict() for name, one in found.measured.items()},
        "gpu_bytes": {
            name: dict(zip(("used", "total"), one.gpu_bytes, strict=True))
            for name, one in found.measured.items()
            if one.gpu_bytes is not None
        },
        "shared": [{"name": job.name, "is_ready": job.is_ready} for job in found.work.shared],
        "rungs": [rung._asdict() for rung in guess.rungs],
        "epochs_per_trial": guess.epochs,
        "hours": guess.total(guess.trials) / 3600,
        "hours_low": guess.total(guess.trials_low) / 3600,
        "hours_high": guess.total(guess.trials_high) / 3600,
        "hours_unpruned": guess.total(guess.trials_unpruned) / 3600,
        "seconds": {
            "start": guess.start,
            "shared": guess.shared,
            "trials": guess.trials,
            "trials_unpruned": guess.trials_unpruned,
        },
        "disk_bytes": {**guess.disk._asdict(), "left": guess.disk.left},
        "remarks": list(remarks(found)),
    }
