"""HTML page of a comparison: one file that needs no other file and no network."""

import time

from distill_tune.report.comparison import course
from distill_tune.report.comparison.findings import Comparison
from distill_tune.report.comparison.tables import TextTable, comparison_tables
from distill_tune.report.contents import Figure
from distill_tune.report.page import rendered
from distill_tune.report.tables import Cell, PageTable


def comparison_page(found: Comparison) -> str:
    """Return a comparison as HTML; all text from the studies is escaped."""
    tables = {one.title: _page_table(one) for one in comparison_tables(found)}
    figure = None
    if found.course is not None:
        shown = course.words(found.course)
        figure = Figure("course", course.TITLE, shown, found.course, course)
    names = [one.name for one in found.studies]
    return rendered(
        "comparison.html",
        time.time(),
        found=found,
        searches=tables["searches"],
        confirmations=tables.get("confirmed"),
        differences=tables.get("fields that differ"),
        course=figure,
        colours=[(name, course.colour(index)) for index, name in enumerate(names)],
    )


def _page_table(one: TextTable) -> PageTable:
    head, *body = one.rows
    rows = tuple(
        tuple(
            Cell(text, text, "" if name in one.text else "number")
            for name, text in zip(head, row, strict=True)
        )
        for row in body
    )
    return PageTable(one.title, tuple(head), rows)
