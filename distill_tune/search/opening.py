"""From what a user typed to a study that is known to be good, before anything is created."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_tune.config import Document, locate_error, parse, read_yaml, read_yaml_text, to_yaml
from distill_tune.distill.probe import probe
from distill_tune.errors import InputError, StudyError
from distill_tune.interfaces import ImageData, plain
from distill_tune.records import STUDY_FILE, StudyDirectory
from distill_tune.study import Study, differences


def read_study(space: Path, assignments: list[str]) -> tuple[Study, Document]:
    """Return the study of a YAML file with ``path=value`` assignments applied.

    Raises:
        InputError, InputErrors: With the place of everything that is wrong.
    """
    document = read_yaml(space)
    for assignment in assignments:
        document.set(assignment)
    return _absolute(parse(Study, document)), document


def load_images(study: Study, document: Document) -> ImageData:
    """Return the study's data, known to suit every backbone.

    Raises:
        InputError: No such data, too few images, or a backbone that cannot take them.
    """
    try:
        images = study.data.load()
        for backbone in study.backbones:
            probe(study.trial_config(backbone.name, {}), images)
    except InputError as error:
        raise locate_error(error, document) from error
    return images


def stored_study(directory: StudyDirectory) -> tuple[Study, Document]:
    """Return the study that a directory holds.

    Raises:
        StudyError: There is none.
        InputError: Its ``study.yaml`` was damaged.
    """
    directory.require()
    if not directory.has(STUDY_FILE):
        raise StudyError(f"{directory.root}: {STUDY_FILE} is missing; it cannot be resumed")
    document = read_yaml_text(directory.read_text(STUDY_FILE), directory.path(STUDY_FILE))
    return parse(Study, document), document


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


def study_text(study: Study) -> str:
    """Return ``study.yaml``: every field, defaults included."""
    return to_yaml(plain(study))


def with_changes(study: Study, changes: Mapping[str, Any]) -> Study:
    """Return the study with some fields of ``search`` changed; None leaves one as it is."""
    given = {name: value for name, value in changes.items() if value is not None}
    raw = plain(study)
    return Study.model_validate({**raw, "search": {**raw["search"], **given}}, strict=False)


def _absolute(study: Study) -> Study:
    """Return the study with its data's root absolute: it may be resumed from another folder."""
    root = getattr(study.data, "root", None)
    if root is None or "://" in str(root):
        return study
    data = study.data.model_copy(update={"root": str(Path(root).expanduser().absolute())})
    return study.model_copy(update={"data": data})
