"""Tables of a study for the terminal: status, trials, the best of each backbone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from distill_tune.records.extras.quoted import QuotedValue, quoted_values
from distill_tune.records.formatting import duration, param_text, short_names
from distill_tune.records.gpu_use import packing_words
from distill_tune.records.pareto import front_sentences
from distill_tune.records.status import StageInfo, StatusInfo, is_of_search
from distill_tune.records.tables import flat
from distill_tune.records.trials import StudyState, TrialRecord, best, by_value
from distill_tune.records.words.fitness_text import is_unfit, stage_words
from distill_tune.records.words.metric_names import column_title
from distill_tune.terminal.result_table import result_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_TEXT_COLUMNS = {"backbone", "state", "params", "trial", "stage", ""}
_STYLES = {
    "complete": "green",
    "finished": "green",
    "running": "cyan",
    "pruned": "yellow",
    "interrupted": "yellow",
    "time_budget": "yellow",
    "stopped": "yellow",
    "failed": "red",
}


def console_on(*, stderr: bool = False, quiet: bool = False) -> "Console":
    """Return a console that redraws nothing unless its stream is a terminal.

    ``FORCE_COLOR``, which notebooks and build servers set, affects colours only.

    Args:
        stderr: Write to stderr instead of stdout.
        quiet: Write nothing.
    """
    from rich.console import Console

    options: dict[str, Any] = {"stderr": stderr, "highlight": False, "force_jupyter": False}
    found = Console(**options)
    options["force_terminal"] = found.is_terminal and is_a_terminal(found.file) and not quiet
    options["color_system"] = found.color_system
    return Console(**options, quiet=quiet)


def is_a_terminal(stream: IO[str]) -> bool:
    """Return whether a stream is a terminal; a closed stream, or one that cannot tell, is not."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def status_table(info: StatusInfo, confirmation: Sequence[str] = ()) -> "RenderableType":
    """Return a status for the terminal: a heading, trials, the best, stages, warnings.

    Args:
        info: The status.
        confirmation: Standing of the confirmation in lines; empty before one.
    """
    from rich.console import Group
    from rich.filesize import decimal
    from rich.text import Text

    heading = Text.assemble(
        (info.study, "bold"), " ", (info.state, _STYLES.get(info.state, "")), f"  {info.root}\n"
    )
    heading.append(f"{duration(info.elapsed_s)} of search, {decimal(info.disk_bytes)} on disk")
    if info.computed.total:
        heading.append(f"\n{info.computed.words} of computing")
    parts: list[RenderableType] = [heading]
    if info.counts:
        parts += [_counts_table(info.counts), best_table(info.best, info.quoted, info.metric)]
    parts += [Text(line) for line in info.comparison]
    parts += [Text(sentence) for sentence in (*info.continued, *front_sentences(info.front))]
    parts += [Text(f"stopped: {info.stop}")] if info.stop else []
    if stages := [stage for stage in info.stages if is_of_search(stage.name)]:
        parts.append(_stages_table(stages))
    parts += [Text(packing_words(*found)) for found in info.packing.items()]
    parts += [Text(line) for line in confirmation]
    parts += [Text(f"warning: {text}", style="yellow") for text in info.warnings]
    return Group(*parts)


def _counts_table(counts: dict[str, dict[str, int]]) -> "Table":
    outcomes = list(dict.fromkeys(name for count in counts.values() for name in count))
    table = _table("trials", "backbone", *outcomes)
    for backbone, count in counts.items():
        table.add_row(backbone, *(str(count.get(outcome, 0)) for outcome in outcomes))
    return table


def _stages_table(stages: Iterable[StageInfo]) -> "Table":
    table = _table("shared stages", "stage", "time", "trials", "saved", "")
    for stage in stages:
        table.add_row(
            stage.name,
            duration(stage.seconds),
            str(stage.hits),
            duration(max(0.0, stage.saved_s)),
            _stage_note(stage),
        )
    return table


def _stage_note(stage: StageInfo) -> "Text":
    from rich.text import Text

    notes = [stage_words(stage), "found ready" if stage.cached else ""]
    style = "yellow" if is_unfit(stage.curve) else ""
    return Text("; ".join(filter(None, notes)), style=style)


def best_table(
    winners: Mapping[str, TrialRecord | None], quotes: Mapping[str, QuotedValue], metric: str
) -> "Table":
    """Return a table of each backbone's winner, marked if it is not complete.

    Args:
        winners: Backbone to its winner.
        quotes: Backbone to the value to quote of its winner.
        metric: Metric of the values; empty if it is not known.
    """
    has_seeds = any(one.origin for one in quotes.values())
    seeds = ["seeds"] if has_seeds else []
    table = _table("best", "backbone", "trial", column_title(metric), *seeds, "epochs", "params")
    found = {backbone: trial for backbone, trial in winners.items() if trial is not None}
    names = short_names(found.values())
    for backbone, trial in found.items():
        flag = {"complete": "", "running": " (so far)"}.get(trial.status, f" ({trial.status})")
        one, (_, epochs, params) = quotes[backbone], _cells(trial, names)
        count = [str(one.num_seeds)] if has_seeds else []
        table.add_row(backbone, f"{trial.number}{flag}", one.words, *count, epochs, params)
    return table


def trials_table(
    state: StudyState,
    *,
    backbone: str | None = None,
    sort_by_value: bool = False,
    is_short: bool = False,
    is_running: bool = True,
) -> "Table":
    """Return a table of trials that is readable at 80 columns.

    Args:
        state: State of the study.
        backbone: Show only this backbone's trials; None shows all, with a column for the backbone
            if there are several.
        sort_by_value: Order by value, best first, instead of by number.
        is_short: Use one line per trial and cut off params that do not fit.
        is_running: Whether a search is running; if not, unfinished trials count as interrupted.
    """
    trials = [t for t in state.trials.values() if backbone in {None, t.backbone}]
    several = len({trial.backbone for trial in trials}) > 1
    names = short_names(trials)
    head = ["#", *(["backbone"] if several else []), "state", column_title(state.metric)]
    title = "trials" if backbone is None else f"trials of {backbone}"
    table = _table(title, *head, "epochs", "params")
    for trial in by_value(trials) if sort_by_value else trials:
        who = [str(trial.number), *([trial.backbone] if several else [])]
        value, epochs, params = _cells(trial, names)
        if is_short:
            params.no_wrap, params.overflow = True, "ellipsis"
        outcome = trial.outcome(is_running=is_running)
        table.add_row(*who, _outcome(outcome, trial.reason), value, epochs, params)
    if is_short:
        # Only the params, which may be cut, give way to the other columns.
        for column in table.columns[:-1]:
            column.no_wrap = True
    return table


def latest_trials(state: StudyState, count: int) -> StudyState:
    """Return the study with only ``count`` trials: running ones first, then the newest."""
    trials = sorted(state.trials.values(), key=lambda t: (t.ended_at is None, t.number))
    shown = sorted(trials[-count:], key=lambda t: t.number)
    return StudyState({t.number: t for t in shown}, (), (), (), metric=state.metric)


def final_summary(state: StudyState) -> "RenderableType":
    """Return the final tables of a search: trials, best first, then each backbone's winner."""
    from rich.console import Group

    # One table per backbone: a common list would invite comparing trials of different searches.
    names = state.backbones
    tables = [
        trials_table(state, backbone=name, sort_by_value=True, is_running=False) for name in names
    ]
    winners = {name: best(state, name) for name in names}
    return Group(*tables, best_table(winners, quoted_values(state), state.metric))


def _outcome(outcome: str, reason: str) -> "Text":
    from rich.text import Text

    return Text.assemble((outcome, _STYLES.get(outcome, "")), f" ({reason})" if reason else "")


def _cells(trial: TrialRecord, names: Mapping[str, str]) -> "tuple[str, str, Text]":
    """Return value, epochs and params as text; floats have few digits."""
    from rich.text import Text

    value = "-" if trial.value is None else f"{trial.value:#.4g}"
    params = flat(trial.params).items()
    # As Text, because a param such as "[a]" is not markup.
    words = " ".join(f"{names[k]}={param_text(v)}" for k, v in params)
    return value, str(trial.epochs), Text(words)


def _table(title: str, *columns: str) -> "Table":
    return result_table(title, columns, text=_TEXT_COLUMNS)
