"""Findings of a check of images for the terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from distill_tune.datasets.images.value_range import range_line
from distill_tune.datasets.survey.copies import Copy
from distill_tune.datasets.survey.survey import Survey
from distill_tune.errors import abridged
from distill_tune.records.formatting import counted
from distill_tune.terminal.result_table import below_its_title, result_table

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST_CLASSES, _MOST_SHOWN = 40, 5


def survey_view(found: Survey) -> "Iterator[RenderableType]":
    """Yield a table of the classes, then lines on the files."""
    from rich.text import Text

    table = result_table(
        f"{found.name}: images of each class, as a search would split them",
        ["class", *found.counts],
        text={"class"},
    )
    for label, name in enumerate(found.classes[:_MOST_CLASSES]):
        counts = (str(of_class[label]) for of_class in found.counts.values())
        table.add_row(Text(name), *counts)
    if len(found.classes) > _MOST_CLASSES:
        table.add_row(Text(f"{len(found.classes) - _MOST_CLASSES} more"))
    table.add_row(Text("all"), *(str(sum(counts)) for counts in found.counts.values()))
    yield below_its_title(table)
    yield ""
    sizes = {f"{width}x{height}": num for (width, height), num in found.sizes.items()}
    yield Text(f"sizes in pixels: {_tally(sizes)}")
    yield Text(f"modes: {_tally(found.modes)}")
    if line := range_line(found.value_ranges):
        yield Text(line)


def survey_warnings(found: Survey) -> Iterator[str]:
    """Yield what a user should look at."""
    if found.unreadable:
        shown = abridged(found.unreadable, _MOST_SHOWN)
        yield f"{counted(len(found.unreadable), 'unreadable file')}, left out: {shown}"
    for kind, words in (("equal", "the same"), ("near", "nearly the same")):
        same = [one for one in found.copies if one.kind == kind]
        conflicts = [one for one in same if one.is_conflict]
        across = [one for one in same if one.is_across and not one.is_conflict]
        within = [one for one in same if not one.is_across and not one.is_conflict]
        yield from _pairs(conflicts, f"{words}, with different labels")
        yield from _pairs(across, f"{words}, in different splits")
        yield from _pairs(within, f"{words}, in one split")
    yield from found.warnings


def _pairs(found: list[Copy], words: str) -> Iterator[str]:
    if found:
        first = found[0]
        pair = f"{_place(first, 0)} and {_place(first, 1)}"
        yield f"{counted(len(found), 'pair')} of images {words}, such as {pair}"


def _place(one: Copy, which: int) -> str:
    name = (one.first, one.second)[which]
    return f"{name} ({one.classes[which]}, {one.splits[which]})"


def _tally(counts: Mapping[str, int]) -> str:
    return abridged([f"{name} ({number})" for name, number in counts.items()], _MOST_SHOWN)
