"""Comparison of studies: tables, a page and a result for Python, without torch or Ray."""

import os
from typing import Any, NamedTuple

from distill_tune.records.files.storage import path_text
from distill_tune.records.status import plain_json
from distill_tune.report.comparison.findings import Comparison, comparison
from distill_tune.report.output_files import chosen_storage, json_text, write_texts

PAGE_FILE, JSON_FILE = "comparison.html", "comparison.json"


class WrittenComparison(NamedTuple):
    """Files of a comparison: paths or URIs of the page and of the same content for programs."""

    page: str
    json: str


def compare(
    *studies: "str | os.PathLike[str]", out: "str | os.PathLike[str] | None" = None
) -> Comparison:
    """Compare studies, as ``distill-tune compare`` does, without importing torch or Ray.

    Args:
        *studies: Directories or URIs of two studies or more, or results of ``search`` and
            ``load_study``.
        out: Folder or URI for ``comparison.html`` and ``comparison.json``; None writes nothing.

    Returns:
        Best and confirmed values, cost, fields that differ, and gains paired by seed.

    Raises:
        InputError: There are fewer than two studies, or ``out`` cannot be written to.
        StudyError: A study is missing or given twice.
    """
    found = comparison(studies)
    if out is not None:
        write_comparison(found, path_text("out", out))
    return found


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON data; numbers that are not finite become null."""
    pairs = [one._asdict() | {"sentence": one.sentence} for one in found.pairs]
    plain: dict[str, Any] = plain_json(found._asdict() | {"pairs": pairs})
    return plain


def write_comparison(found: Comparison, out: str) -> WrittenComparison:
    """Write a comparison to a folder or URI.

    Raises:
        InputError: ``out`` is not a writable folder.
    """
    from distill_tune.report.comparison.page import comparison_page

    files = {
        PAGE_FILE: comparison_page(found),
        JSON_FILE: json_text(comparison_json(found)),
    }
    storage = chosen_storage(out)
    write_texts(storage, files)
    return WrittenComparison(storage.path(PAGE_FILE), storage.path(JSON_FILE))
