"""From what a user typed to a study that is known to be good, before anything is created."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from distill_tune.config import Document, locate_error, parse, read_yaml, read_yaml_text
from distill_tune.distill.probe import probe
from distill_tune.errors import InputError, StudyError
from distill_tune.interfaces import ImageData, plain
from distill_tune.records import STUDY_FILE, StudyDirectory
from distill_tune.study import Study, differences

Options = Mapping[str, str | float | None]
"""Options of the command line that change a field of the study; None leaves it as it is."""

_FIELDS = {
    "--name": "study",
    "--num-trials": "search.num_trials",
    "--time-budget": "search.time_budget_s",
}


def read_study(space: Path, assignments: list[str], options: Options) -> tuple[Study, Document]:
    """Return the study of a YAML file with ``path=value`` assignments, then options, applied.

    Raises:
        InputError, InputErrors: With the place of everything that is wrong.
    """
    document = read_yaml(space)
    for assignment in assignments:
        document.set(assignment)
    _set_options(document, options)
    return parse(Study, document), document


def stored_study(
    directory: StudyDirectory, options: Options | None = None
) -> tuple[Study, Document]:
    """Return the study that a directory holds, with options applied.

    Raises:
        StudyError: There is none.
        InputError: Its ``study.yaml`` was damaged, or an option is out of range.
    """
    directory.require()
    if not directory.has(STUDY_FILE):
        raise StudyError(f"{directory.root}: {STUDY_FILE} is missing; it cannot be resumed")
    document = read_yaml_text(directory.read_text(STUDY_FILE), directory.path(STUDY_FILE))
    _set_options(document, options or {})
    return parse(Study, document), document


def load_images(study: Study, document: Document) -> ImageData:
    """Return the study's data, known to suit every backbone.

    Raises:
        InputError: No such data, too few images, or a backbone that cannot take them.
    """
    with located(document):
        images = study.data.load()
        for index, backbone in enumerate(study.backbones):
            try:
                probe(study.trial_config(backbone.name, {}), images)
            except InputError as error:
                if error.where != "backbones":
                    raise
                where = f"backbones.{index}"
                raise InputError(where, got=error.got, expected=error.expected) from error
    return images


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give an error that names a field of the study the field's place in the file."""
    try:
        yield
    except InputError as error:
        if error.where.partition(".")[0] not in Study.model_fields:
            raise
        raise locate_error(error, document) from error


def check_same(directory: StudyDirectory, study: Study) -> None:
    """Refuse to go on with a study under other conditions than it began with.

    Raises:
        StudyError: What differs, one a line.
    """
    stored, _ = stored_study(directory)
    found = differences(plain(stored), plain(study))
    if found:
        raise StudyError(
            f"{directory.root}: the study was begun otherwise:\n"
            + "\n".join(f"  {line}" for line in found)
            + "\nUndo these changes, or give the new study another --name."
        )


def _set_options(document: Document, options: Options) -> None:
    """Set what options say, known by the option in messages."""
    for option, value in options.items():
        if value is not None:
            field = _FIELDS[option]
            # As JSON: a name such as 2024 stays text.
            document.set(f"{field}={json.dumps(value)}")
            document.assigned[tuple(field.split("."))] = f"{option} {value}"


def with_absolute_root(study: Study) -> Study:
    """Return the study with its data's root absolute: it may be resumed from another folder."""
    root = getattr(study.data, "root", None)
    if root is None or "://" in str(root):
        return study
    data = study.data.model_copy(update={"root": str(Path(root).expanduser().absolute())})
    return study.model_copy(update={"data": data})
