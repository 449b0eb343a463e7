"""A dry run as users read it, and as plain data for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal
from rich.markup import escape

from distill_tune.cluster.resources import in_words
from distill_tune.records.directory import file_part
from distill_tune.records.formatting import duration
from distill_tune.records.gpu_use import packing_words
from distill_tune.terminal.result_table import result_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from distill_tune.tuning.dry_run.plan import DryRun


def dry_run_view(found: "DryRun") -> "Iterator[RenderableType]":
    """Yield the first proposals and what the search takes."""
    names = [f"{file_part(one['backbone'])}-{one['number']:04d}" for one in found.proposals]
    table = result_table("first proposals", ("dimension", *names), text={"dimension"})
    for path in found.study.space.dimensions:
        values = [one["params"][path] for one in found.proposals]
        shown = [f"{value:.3g}" if isinstance(value, float) else value for value in values]
        table.add_row(path, *(escape(str(value)) for value in shown))
    yield table
    yield ""
    yield from map(escape, _facts(found))


def _facts(found: "DryRun") -> Iterator[str]:
    study, guess, search = found.study, found.forecast, found.study.search
    times = (f"{name} {duration(seconds)}" for name, seconds in guess.trial_s.items())
    yield f"One trial of {study.max_epochs} epochs: {', '.join(times)}."
    if found.shared:
        names = (f"{name} (ready)" if is_ready else name for name, is_ready in found.shared.items())
        yield f"Shared stages, computed once: {', '.join(names)}: {duration(guess.shared_s)}."
    yield from _beside(found)
    if guess.start_s:
        yield f"Start-up of Ray and its workers: {duration(guess.start_s)}."
    each = f"{found.slots.count} at a time, {in_words(found.slots.bundle)} each"
    hours = f"{guess.pruned_s / 3600:.2f} with pruning, {guess.unpruned_s / 3600:.2f} without"
    beside = " and all the runs beside them" if guess.controls_s or guess.finalists_s else ""
    yield f"Hours of {search.num_trials} trials{beside}, {each}: {hours}."
    most, left = decimal(guess.checkpoint_bytes), decimal(guess.model_bytes)
    yield f"Disk: {most} of checkpoints while it runs, {left} of models in the end."
    for name, cost in found.costs.items():
        if cost.gpu is not None:
            yield packing_words(name, cost.gpu)
    if study.trial.joint.has_gan and study.trial.gan.warmup_steps == "auto":
        limit = f"the longest, {study.trial.gan.warmup_limit} steps, is counted"
        yield f"A warm-up ends once the generator follows its classes: {limit}."
    share = f"at most {search.checkpoint_share:.0%} of a trial's time"
    confirmation = ", the confirmation that follows" if study.confirm is not None else ""
    yield f"Not counted: retries, checkpoints ({share}){confirmation}."
    if search.stop.limits:
        yield f"Rules may stop it before: {', '.join(search.stop.limits)}."
    if search.time_budget_s is not None:
        yield f"The time budget ends a session after {duration(search.time_budget_s)}."
    yield f"Nothing was written. The search would take about {duration(guess.pruned_s)}."


def _beside(found: "DryRun") -> Iterator[str]:
    """Yield what is run beside the trials."""
    guess, finalists = found.forecast, found.study.search.finalists
    if guess.controls_s:
        parts = (f"{name} {duration(seconds)}" for name, seconds in guess.controls_s.items())
        yield f"Controls, run once: {', '.join(parts)}."
    if finalists is not None:
        runs = f"the best {finalists.top} of a backbone on {finalists.seeds - 1} more seeds"
        yield f"Finalists, {runs}: {duration(guess.finalists_s)}."


def dry_run_json(found: "DryRun") -> dict[str, Any]:
    """Return the same facts as plain data, in seconds, hours and bytes."""
    guess, gpus = found.forecast, {name: one.gpu for name, one in found.costs.items() if one.gpu}
    return {
        "study": found.study.study,
        "proposals": found.proposals,
        "slots": {"count": found.slots.count, "bundle": found.slots.bundle},
        "stages_s": {name: one.stages_s for name, one in found.costs.items()},
        "trial_s": guess.trial_s,
        "controls_s": guess.controls_s,
        "finalists_s": guess.finalists_s,
        "start_s": guess.start_s,
        "shared": [{"name": name, "is_ready": ready} for name, ready in found.shared.items()],
        "hours": guess.pruned_s / 3600,
        "hours_unpruned": guess.unpruned_s / 3600,
        "disk_bytes": {"checkpoints": guess.checkpoint_bytes, "models": guess.model_bytes},
        "gpu_bytes": {n: {"used": g.memory_bytes, "total": g.total_bytes} for n, g in gpus.items()},
        "remarks": list(_facts(found)),
    }
