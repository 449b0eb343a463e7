"""Final output of a search on the terminal: trials, winners, files, next commands."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.markup import escape

from distill_tune.interfaces import plain
from distill_tune.records.continued import continued_sentences
from distill_tune.records.directory import StudyDirectory, file_part
from distill_tune.records.extras.finalists import finalist_sentences
from distill_tune.records.extras.runs import comparison_lines
from distill_tune.records.formatting import path_text
from distill_tune.records.pareto import front_sentences, fronts
from distill_tune.records.stops import stop_words
from distill_tune.records.trials import StudyState, best
from distill_tune.records.words.metric_names import validation_title
from distill_tune.study.opening import resume_command
from distill_tune.study.study import Study
from distill_tune.study.warm_start import warm_start_outcomes
from distill_tune.terminal.study_tables import final_summary
from distill_tune.tuning.outcome import best_file, num_skipped, written_paths

UNCONFIRMED = "distill-tune confirm says whether it is real"

if TYPE_CHECKING:
    from rich.console import RenderableType


def outcome_view(
    study: Study, directory: StudyDirectory, status: str
) -> "Iterator[RenderableType]":
    """Yield the final output of a search: trials, winners, written files, next commands.

    Lines of text are meant to be copied and must not be wrapped.
    """
    state = directory.state()
    if state.trials:
        yield final_summary(state)
    yield from (f"\n{escape(sentence)}" for sentence in _sentences(study, state))
    paths = written_paths(study, directory, state)
    width = max(map(len, paths))
    yield "\nwritten"
    yield from (f"  {name:<{width}}  {escape(path_text(path))}" for name, path in paths.items())
    num_left_out = num_skipped(directory)
    if num_left_out:
        yield f"  {num_left_out} unreadable files were left out; events.jsonl lists them"
    yield from (f"  warning: {escape(text)}" for text in state.warnings)
    yield "\nnext"
    yield f"  tensorboard --logdir {escape(shlex.quote(path_text(directory.path('tensorboard'))))}"
    for backbone in study.backbones:
        if best(state, backbone.name) is not None:
            config = shlex.quote(path_text(directory.path(best_file(backbone.name))))
            out = f"model-{file_part(backbone.name)}"
            yield f"  distill-tune train --config {escape(config)} --out {out}"
    yield from _ending(study, directory, state, status)
    yield from (escape(f"{sentence}.") for sentence in finalist_sentences(state))
    for line in comparison_lines(state):
        seeds = "few seeds" if state.finalists else "one seed"
        yield f"{escape(line)}; {seeds}: {UNCONFIRMED}"


def _ending(
    study: Study, directory: StudyDirectory, state: StudyState, status: str
) -> Iterator[str]:
    """Yield how a search ended, and how to go on."""
    over = sum(trial.ended_at is not None for trial in state.trials.values())
    total = study.search.num_trials
    if status == "finished":
        yield f"\nThe study is finished: {over} of {total} trials."
        return
    if state.stop is not None and status == "stopped":
        yield f"\nstopped after {over} of {total} trials: {escape(stop_words(state.stop))}"
        if study.confirm is not None and state.stop.is_budget:
            yield "after a rule on hours, the confirmation of the study (confirm:) is left out"
        yield "more trials (--num-trials) or another rule (--set search.stop.RULE=LIMIT) go on:"
    else:
        yield f"\n{status.replace('_', ' ')} after {over} of {total} trials; go on with:"
    yield f"  {escape(resume_command(directory))}"


def _sentences(study: Study, state: StudyState) -> Iterator[str]:
    if study.search.objectives:
        yield from front_sentences(fronts(state))
    elif state.trials:
        yield f"Values are {validation_title(study.search.metric)}."
    yield from continued_sentences(state)
    yield from (outcome.sentence for outcome in warm_start_outcomes(plain(study), state))
