"""Finalists of a search: chosen once its trials and controls are over, and told in its models."""

from collections.abc import Mapping
from typing import Any

from distill_tune.errors import DistillTuneError
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.extras.finalists import finalist_json, finalist_sentence
from distill_tune.records.trials import FINALISTS, StudyState, TrialRecord, top_of_one_seed
from distill_tune.study.extra_runs import finalist_seeds
from distill_tune.study.study import Study
from distill_tune.study.validation import read_yaml_text, to_yaml
from distill_tune.training.kept_models import MODELS
from distill_tune.tuning.journal import Journal


def chosen(study: Study, state: StudyState) -> dict[str, list[TrialRecord]]:
    """Return the finalists of each backbone: its best complete trials."""
    finalists = study.search.finalists
    if finalists is None:
        return {}
    best = {one.name: top_of_one_seed(state, one.name, finalists.top) for one in study.backbones}
    return {
        name: [trial for trial in trials if trial.status == "complete"]
        for name, trials in best.items()
    }


def record_finalists(study: Study, journal: Journal) -> None:
    """Record who the finalists are, unless just their ranking is known."""
    for backbone, trials in chosen(study, journal.state).items():
        numbers, seeds = [trial.number for trial in trials], finalist_seeds(study)
        ranked = journal.state.finalists.get(backbone, ())
        known = {(one.trial, *one.values) for one in ranked}
        if known != {(number, *seeds) for number in numbers}:
            journal.emit(FINALISTS, backbone=backbone, trials=numbers, seeds=seeds)


def describe_finalists(directory: StudyDirectory, state: StudyState) -> None:
    """Write each finalist's mean and spread into the ``model.yaml`` of its model.

    They are deleted from the models of trials that are finalists no longer.
    """
    found: dict[str, dict[str, Any]] = {}
    for backbone, ranked in state.finalists.items():
        sentence = finalist_sentence(state, backbone)
        for one in ranked:
            winner = {"is_winner": one is ranked[0], "choice": sentence}
            found[one.name] = {**finalist_json(one), **winner}
    # No other trial was ever one: a model in an object store takes a request to look at.
    once = {state.trials[one.trial].name for one in state.extras.values() if one.trial is not None}
    for name in {*found, *once}:
        _describe(directory, f"{MODELS}/{name}/model.yaml", found.get(name))


def _describe(directory: StudyDirectory, name: str, told: Mapping[str, Any] | None) -> None:
    if not directory.has(name):
        return
    try:
        text = directory.read_text(name)
        described = dict(read_yaml_text(text, name).value)
    except (DistillTuneError, TypeError, ValueError):
        # A damaged model is named by the command that opens it.
        return
    described.pop("finalist", None)
    if told is not None:
        described["finalist"] = dict(told)
    if to_yaml(described) != text:
        directory.write_text(name, to_yaml(described))
