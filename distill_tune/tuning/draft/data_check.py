"""A check of a user's images before anything is computed: ``distill-tune check``."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_tune.datasets.survey.sheet import contact_sheet
from distill_tune.datasets.survey.survey import Survey, survey
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.interfaces import Say, silent
from distill_tune.records.files.storage import path_text
from distill_tune.study.python_arguments import assignment_options
from distill_tune.tuning.draft.sources import blamed_on_options, source_of

SHEET_FILE, CHECK_FILE = "contact-sheet.png", "check.json"


def check(
    data: "str | os.PathLike[str]",
    *,
    assignments: Mapping[str, object] | None = None,
    search: bool = True,
) -> Survey:
    """Return what the images of a data set are, and what is wrong with them.

    Test images are read too, to find copies of them among the others.

    Args:
        data: A folder of class folders, an ``.npz`` file, or the name of a kind.
        assignments: How to read them: dotted path -> value, such as ``{"data.image_size": 32}``.
        search: Whether an error that would stop a search is raised; otherwise it is in ``error``.

    Raises:
        InputError: There are no readable images, or ``search`` is set and no search could run.
    """
    found = surveyed(data, assignment_options(assignments))
    if search and found.error is not None:
        raise found.error
    return found


def surveyed(
    data: "str | os.PathLike[str]", assignments: Sequence[str] = (), say: Say = silent
) -> Survey:
    """Return the findings about a data set; why no search could run is in ``error``.

    Args:
        data: As for :func:`check`.
        assignments: ``path=value``.
        say: Called with what is being done.

    Raises:
        InputError: There are no readable images.
    """
    source, fields = source_of(path_text("data", data), assignments)
    with blamed_on_options(fields):
        found = survey(source, say)
    if found.error is None:
        return found
    try:
        with blamed_on_options(fields):
            raise found.error
    except InputError as error:
        return found._replace(error=error)


def write_check(found: Survey, out: Path) -> list[str]:
    """Write a contact sheet of the training images, and the findings; return the paths.

    Raises:
        InputError: The folder cannot be written to.
    """
    files = {
        SHEET_FILE: contact_sheet(found.train),
        CHECK_FILE: f"{json.dumps(survey_json(found), indent=1)}\n".encode(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        met = Text(f"{out} ({error.strerror})")
        expected = "a folder that can be written to"
        raise InputError(Parameter("out"), got=met, expected=expected) from None
    return [str(out / name) for name in files]


def survey_json(found: Survey) -> dict[str, Any]:
    """Return a survey as JSON-compatible data."""
    fields = found._asdict()
    del fields["train"]
    return fields | {
        "classes": list(found.classes),
        "sizes": {f"{width}x{height}": num for (width, height), num in found.sizes.items()},
        "value_ranges": found.value_ranges.model_dump(mode="json"),
        "copies": [
            one._asdict() | {"is_across": one.is_across, "is_conflict": one.is_conflict}
            for one in found.copies
        ],
        "error": None if found.error is None else str(found.error),
    }
