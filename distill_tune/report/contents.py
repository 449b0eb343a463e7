"""Contents of a report, shared by the page and the JSON file."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from distill_tune.confirmation.evidence.tables import as_json
from distill_tune.records.status import plain_json, status_json
from distill_tune.report.class_results import ClassRow, class_results
from distill_tune.report.figures import OF_A_BACKBONE, OF_THE_STUDY
from distill_tune.report.headline import Headline, headlines
from distill_tune.report.pictures import ReportPicture, pictures
from distill_tune.report.reproduction import Command, commands, reproduction_facts
from distill_tune.report.study_records import Source
from distill_tune.study.warm_start import warm_start_outcomes


class Figure(NamedTuple):
    """A figure of the report.

    Attributes:
        name: Name in the index, such as ``best-so-far``.
        title: Heading.
        words: Caption.
        info: Numbers of the figure, a named tuple of its module.
        file: Module that draws the figure.
        pictures: Pictures beside the drawing.
    """

    name: str
    title: str
    words: str
    info: Any
    file: ModuleType
    pictures: tuple[ReportPicture, ...] = ()


class Contents(NamedTuple):
    """Contents of a whole report.

    Attributes:
        figures: Backbone to its figures.
        overall: Figures over all backbones.
        warm_start: One sentence per warm-started backbone on whether the warm start helped.
        classes: Backbone to the results of its classes; empty if unknown.
    """

    source: Source
    headlines: tuple[Headline, ...]
    figures: dict[str, tuple[Figure, ...]]
    overall: tuple[Figure, ...]
    pictures: tuple[ReportPicture, ...]
    facts: dict[str, str]
    commands: tuple[Command, ...]
    warm_start: tuple[str, ...] = ()
    classes: Mapping[str, tuple[ClassRow, ...]] = MappingProxyType({})


def contents(source: Source) -> Contents:
    """Return the contents of a study's report."""
    backbones = source.state.backbones
    return Contents(
        source,
        headlines(source),
        {backbone: _figures(OF_A_BACKBONE, source, backbone) for backbone in backbones},
        _figures(OF_THE_STUDY, source),
        pictures(source),
        reproduction_facts(source),
        commands(source),
        tuple(one.sentence for one in warm_start_outcomes(source.plan.study, source.state)),
        {backbone: class_results(source, backbone) for backbone in backbones},
    )


def _figures(index: Mapping[str, ModuleType], *arguments: object) -> tuple[Figure, ...]:
    found = ((name, file, file.info(*arguments)) for name, file in index.items())
    return tuple(
        Figure(name, file.TITLE, file.words(info), info, file, _beside(file, *arguments))
        for name, file, info in found
        if info is not None
    )


def _beside(file: ModuleType, *arguments: object) -> tuple[ReportPicture, ...]:
    return tuple(file.pictures(*arguments)) if hasattr(file, "pictures") else ()


def contents_json(found: Contents) -> dict[str, Any]:
    """Return a report as JSON-compatible data; non-finite numbers become None."""
    source = found.source
    whole = {
        "made_at": source.made_at,
        **status_json(source.status),
        "metric": source.plan.metric,
        "headlines": found.headlines,
        "warm_start": found.warm_start,
        "figures": {
            backbone: {figure.name: _figure_json(figure) for figure in figures}
            for backbone, figures in found.figures.items()
        },
        "classes": found.classes,
        "overall": {figure.name: _figure_json(figure) for figure in found.overall},
        "confirmation": as_json(source.confirmation) if source.confirmation else None,
        "pictures": [{"backbone": one.backbone} | _picture_json(one) for one in found.pictures],
        "surroundings": found.facts,
        "terms": source.plan.study,
        "warnings": source.warnings,
        "commands": found.commands,
    }
    plain: dict[str, Any] = plain_json(whole)
    return plain


def _figure_json(figure: Figure) -> dict[str, Any]:
    whole = {"title": figure.title, "words": figure.words, "info": figure.info}
    shown = [_picture_json(one) for one in figure.pictures]
    return whole | ({"pictures": shown} if shown else {})


def _picture_json(one: ReportPicture) -> dict[str, str]:
    return {"title": one.title, "words": one.words, "source": one.source}
