"""From what a user typed to a study that is known to be good, before anything is created."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill_tune import __version__
from distill_tune.datasets.moved_images import told_how_to_go_on
from distill_tune.distill.probe import probe
from distill_tune.errors import InputError, Message, Parameter, StudyError, one_line
from distill_tune.interfaces import ImageData, plain
from distill_tune.records.directory import STUDY_FILE, TRIALS_FILE, StudyDirectory
from distill_tune.records.event_log import LOG_FILE
from distill_tune.records.trials import Event
from distill_tune.study.study import ALLOWABLE_CHANGES, Study, differences
from distill_tune.study.validation import (
    Document,
    locate_error,
    parse,
    read_yaml,
    read_yaml_text,
    to_yaml,
)

Options = Mapping[str, str | float | None]
"""Parameters that change a field of the study, and their values; None leaves it as it is."""

_FIELDS = {
    "name": "study",
    "num_trials": "search.num_trials",
    "time_budget_s": "search.time_budget_s",
}


def read_study(
    space: Path | Mapping[str, Any], assignments: list[str], options: Options
) -> tuple[Study, Document]:
    """Return the study of a YAML file with ``path=value`` assignments, then options, applied.

    Instead of the file there may be its content; in messages that is ``space``.

    Raises:
        InputError, InputErrors: With the place of everything that is wrong.
    """
    document = _plain(space) if isinstance(space, Mapping) else read_yaml(space)
    for assignment in assignments:
        document.set(assignment)
    _set_options(document, options)
    return parse(Study, document), document


def _plain(space: Mapping[str, Any]) -> Document:
    """Return a mapping as if it were read: tuples as lists, paths as text; the caller's stays."""
    value = read_yaml_text(to_yaml(space), "space").value
    return Document("space", value, None)


def stored_study(
    directory: StudyDirectory,
    options: Options | None = None,
    assignments: Sequence[str] = (),
) -> tuple[Study, Document]:
    """Return the study that a directory holds, with assignments, then options, applied.

    The log has it, with a checksum; ``study.yaml`` is a copy for people, read only where the log
    holds none.

    Raises:
        StudyError: There is none, or its log is gone.
        InputError: ``study.yaml`` was damaged, or what is to be changed is not usable.
    """
    directory.require()
    _require_log(directory)
    logged = last_session(directory).get("study")
    if logged is None and not directory.has(STUDY_FILE):
        raise StudyError(f"{directory.root}: {STUDY_FILE} is missing; it cannot be resumed")
    if logged is None:
        document = read_yaml_text(directory.read_text(STUDY_FILE), directory.path(STUDY_FILE))
    else:
        # A line of the log is no text in which a value has a place.
        document = replace(read_yaml_text(to_yaml(logged), directory.path(LOG_FILE)), root=None)
    for assignment in assignments:
        document.set(assignment)
    _set_options(document, options or {})
    return parse(Study, document), document


def resume_command(directory: StudyDirectory) -> str:
    """Return the command that goes on with a study."""
    return f"distill-tune resume {shlex.quote(directory.root)}"


def require_utf8(directory: StudyDirectory) -> None:
    """Raise StudyError where a study's path cannot be told to Ray's processes."""
    path = directory.path()
    try:
        path.encode()
    except UnicodeEncodeError:
        raise StudyError(
            f"{one_line(path)}: got a path that is no text in UTF-8, expected one: the processes "
            "that compute are told it"
        ) from None


def last_session(directory: StudyDirectory) -> Event:
    """Return the event with which the newest session began; empty when no session did."""
    sessions = [event for event in directory.events() if event["event"] == "session_started"]
    return sessions[-1] if sessions else {}


def _require_log(directory: StudyDirectory) -> None:
    """Refuse a study that has results and no log: new trials would take their numbers."""
    if directory.has_log():
        return
    results = [name for name in ("ray", "tensorboard", TRIALS_FILE) if directory.has(name)]
    if results:
        raise StudyError(
            Message(
                f"{directory.root}: {LOG_FILE} is missing, though there is "
                f"{' and '.join(results)}; bring it back, or give the new study another ",
                Parameter("name"),
            )
        )


def load_images(
    study: Study, document: Document, go_on: str = "", directory: StudyDirectory | None = None
) -> ImageData:
    """Return the study's data, known to suit every backbone.

    Args:
        study: Whose.
        document: Where it was read.
        go_on: The command that goes on with a study that is there; empty for a new one.
        directory: Where that one lies.

    Raises:
        InputError: No such data, too few images, or a backbone that cannot take them.
    """
    with located(document):
        root = getattr(study.data, "root", None) if go_on else None
        near = [directory.path()] if directory is not None and directory.is_local else []
        with told_how_to_go_on(root, go_on, near):
            images = study.data.load()
        for index, backbone in enumerate(study.backbones):
            try:
                probe(study.trial_config(backbone.name, {}), images)
            except InputError as error:
                places = {"backbones": f"backbones.{index}"}
                places["compute.compile"] = "trial.compute.compile"
                if error.where not in places:
                    raise
                where = places[error.where]
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


def check_same(
    directory: StudyDirectory, study: Study, *, allow_changed: bool = False
) -> list[str]:
    """Refuse to go on with a study under other conditions than it began with.

    Args:
        directory: The study as it stands.
        study: As it would go on.
        allow_changed: Let pass what changes no trial that is there already.

    Returns:
        What differs and was let pass, one a line.

    Raises:
        StudyError: What differs, one a line.
    """
    stored, _ = stored_study(directory)
    found = differences(plain(stored), plain(study))
    if list(found) == ["data.root"]:
        # Nobody needs to be asked: whether the images are the same is known by their digest.
        return list(found.values())
    version = last_session(directory).get("version", __version__)
    if version != __version__:
        found["version"] = f"version: {version} -> {__version__}"
    is_allowed = {path: path in ALLOWABLE_CHANGES for path in found}
    if found and not (allow_changed and all(is_allowed.values())):
        hint = Message(" (", Parameter("allow_changed=True"), " lets this pass)")
        raise _begun_otherwise(
            directory,
            [Message(line, hint if is_allowed[path] else "") for path, line in found.items()],
        )
    return list(found.values())


def require_only_moved(directory: StudyDirectory, study: Study) -> None:
    """Raise StudyError unless a study is the one that a directory holds, wherever its images lie.

    That they are the same images is for whoever loads them to check.
    """
    stored, _ = stored_study(directory)
    found = differences(plain(stored), plain(study))
    found.pop("data.root", None)
    if found:
        raise _begun_otherwise(directory, list(found.values()))


def _begun_otherwise(directory: StudyDirectory, lines: Sequence[str]) -> StudyError:
    return StudyError(
        Message(
            f"{directory.root}: the study was begun otherwise:\n",
            *(Message("  ", line, "\n") for line in lines),
            "Undo these changes, or give the new study another ",
            Parameter("name"),
            ".",
        )
    )


def _set_options(document: Document, options: Options) -> None:
    """Set what parameters say, known by the parameter in messages."""
    for name, value in options.items():
        if value is not None:
            field = _FIELDS[name]
            # As JSON: a name such as 2024 stays text.
            document.set(f"{field}={json.dumps(value)}")
            document.assigned[tuple(field.split("."))] = Message(Parameter(name), f" {value}")


def with_absolute_root(study: Study) -> Study:
    """Return the study with its data's root absolute: it may be resumed from another folder."""
    root = getattr(study.data, "root", None)
    if root is None or "://" in str(root):
        return study
    data = study.data.model_copy(update={"root": str(Path(root).expanduser().absolute())})
    return study.model_copy(update={"data": data})
