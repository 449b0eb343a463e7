"""Reading and checking of a study, from user input to a valid study, before anything is created."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill_tune import __version__
from distill_tune.datasets.relocated_images import suggesting_new_location
from distill_tune.distill.configuration.probe import probe
from distill_tune.errors import (
    InputError,
    Message,
    Parameter,
    StudyError,
    Text,
    one_line,
    show,
)
from distill_tune.interfaces import ImageData, plain
from distill_tune.plugins import options
from distill_tune.records.directory import STUDY_FILE, StudyDirectory
from distill_tune.records.event_log import LOG_FILE
from distill_tune.records.trials import Event
from distill_tune.study.arms.weights_check import check_weights
from distill_tune.study.changes import ALLOWABLE_CHANGES, PLACES, completed, differences
from distill_tune.study.study import Study
from distill_tune.study.validation import (
    Document,
    locate_error,
    parse,
    read_yaml,
    read_yaml_text,
    to_yaml,
)

Options = Mapping[str, str | float | None]
"""Parameters that change a field of the study, with their values; None changes nothing."""

_PLACES = {
    "joint.extra_images": "trial.joint.extra_images",
    "metric": "search.metric",
}
_FIELDS = {"name": "study"} | {name: f"search.{name}" for name in ("num_trials", "time_budget_s")}


def read_study(
    space: Path | Mapping[str, Any], assignments: list[str], options: Options
) -> tuple[Study, Document]:
    """Return the study of a YAML file with ``path=value`` assignments, then options, applied.

    The file's content may be given instead of the file; messages then call it ``space``.

    Raises:
        InputError, InputErrors: All errors, with their positions.
    """
    document = _plain(space) if isinstance(space, Mapping) else read_yaml(space)
    for assignment in assignments:
        document.set(assignment)
    _set_options(document, options)
    return parse(Study, document), document


def _plain(space: Mapping[str, Any]) -> Document:
    """Return a mapping as a document: tuples become lists, paths text. The input is unchanged."""
    value = read_yaml_text(to_yaml(space), "space").value
    return Document("space", value, None)


def stored_study(
    directory: StudyDirectory,
    options: Options | None = None,
    assignments: Sequence[str] = (),
) -> tuple[Study, Document]:
    """Return the study in a directory with assignments, then options, applied.

    The study is read from the log, which has checksums. ``study.yaml`` is a copy for users; it is
    read only if the log holds no study.

    Raises:
        StudyError: There is no study, or its log is missing.
        InputError: ``study.yaml`` is damaged, or a change is invalid.
    """
    directory.require()
    _require_log(directory)
    logged = completed(last_session(directory).get("study"))
    if logged is None and not directory.has(STUDY_FILE):
        raise StudyError(f"{directory.root}: {STUDY_FILE} is missing; it cannot be resumed")
    if logged is None:
        document = read_yaml_text(directory.read_text(STUDY_FILE), directory.path(STUDY_FILE))
    else:
        # Positions within a line of the log would not help a user.
        document = replace(read_yaml_text(to_yaml(logged), directory.path(LOG_FILE)), root=None)
    for assignment in assignments:
        document.set(assignment)
    _set_options(document, options or {})
    return parse(Study, document), document


def resume_command(directory: StudyDirectory) -> str:
    """Return the command that resumes a study."""
    return f"distill-tune resume {shlex.quote(directory.root)}{options()}"


def require_utf8(directory: StudyDirectory) -> None:
    """Raise StudyError if a study's path is not UTF-8 and cannot be passed to Ray's processes."""
    path = directory.path()
    try:
        path.encode()
    except UnicodeEncodeError:
        raise StudyError(
            f"{one_line(path)}: got a path that is not UTF-8, expected one that is: Ray's "
            "processes receive it"
        ) from None


def last_session(directory: StudyDirectory) -> Event:
    """Return the event that started the newest session; empty if there was no session."""
    sessions = [event for event in directory.events() if event["event"] == "session_started"]
    return sessions[-1] if sessions else {}


def _require_log(directory: StudyDirectory) -> None:
    """Refuse a study with results but no log: new trials would reuse its trial numbers."""
    if directory.events():
        return
    if results := directory.results():
        what = "holds no events" if directory.has_log() else "is missing"
        raise StudyError(
            Message(
                f"{directory.root}: {LOG_FILE} {what}, though there is "
                f"{' and '.join(results)}; restore it, or give the new study another ",
                Parameter("name"),
            )
        )


def load_images(
    study: Study,
    document: Document,
    resume: str = "",
    directory: StudyDirectory | None = None,
    say: Callable[[str], object] = len,
) -> ImageData:
    """Return the study's data after checking that every backbone can take them.

    Args:
        study: The study.
        document: The document that it was read from.
        resume: The command that resumes an existing study; empty for a new one.
        directory: Directory of an existing study.
        say: Takes a line for each backbone with weights from a file.

    Raises:
        InputError: The data are missing, there are too few images, or a backbone cannot take them.
    """
    with located(document):
        root = getattr(study.data, "root", None) if resume else None
        near = [directory.path()] if directory is not None and directory.is_local else []
        with suggesting_new_location(root, resume, near):
            images = study.data.load()
        for index, backbone in enumerate(study.backbones):
            try:
                remark = probe(study.trial_config(backbone.name, {}), images)
            except InputError as error:
                place = error.where.replace("backbones", f"backbones.{index}", 1)
                where = _PLACES.get(error.where, place)
                if where == error.where:
                    raise
                raise InputError(where, got=error.got, expected=error.expected) from error
            if remark:
                say(remark)
        check_weights(study, images)
    return images


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Add the position in the file to an error that names a field of the study."""
    try:
        yield
    except InputError as error:
        if error.where.partition(".")[0] not in Study.model_fields:
            raise
        raise locate_error(error, document) from error


def check_same(
    directory: StudyDirectory, study: Study, *, allow_changed: bool = False
) -> list[str]:
    """Refuse to resume a study with settings other than those it was started with.

    Args:
        directory: The stored study.
        study: The study as it would be resumed.
        allow_changed: Accept changes that do not affect existing trials.

    Returns:
        The accepted differences, one per item.

    Raises:
        StudyError: There are other differences; the message lists them, one per line.
    """
    stored, _ = stored_study(directory)
    found = differences(plain(stored), plain(study))
    if found and found.keys() <= PLACES:
        # No consent needed: the digest of the images shows whether they are the same.
        return list(found.values())
    version = last_session(directory).get("version", __version__)
    if version != __version__:
        found["version"] = f"version: {version} -> {__version__}"
    is_allowed = {path: path in ALLOWABLE_CHANGES for path in found}
    if found and not (allow_changed and all(is_allowed.values())):
        hint = Message(" (", Parameter("allow_changed=True"), " lets this pass)")
        raise _changed_error(
            directory,
            [Message(line, hint if is_allowed[path] else "") for path, line in found.items()],
        )
    return list(found.values())


def require_only_moved(directory: StudyDirectory, study: Study) -> None:
    """Raise StudyError if a study differs from the stored one in more than ``PLACES``.

    The code that loads the images checks that they are the same.
    """
    stored, _ = stored_study(directory)
    found = differences(plain(stored), plain(study))
    if found.keys() - PLACES:
        lines = [f"\n  {line}" for path, line in found.items() if path not in PLACES]
        raise StudyError(
            f"{directory.root}: got other settings than the study was started with, expected "
            f"another {' or '.join(sorted(PLACES))} at most:{''.join(lines)}"
        )


def _changed_error(directory: StudyDirectory, lines: Sequence[str]) -> StudyError:
    return StudyError(
        Message(
            f"{directory.root}: the study was started with other settings:\n",
            *(Message("  ", line, "\n") for line in lines),
            "Undo these changes, or give the new study another ",
            Parameter("name"),
            ".",
        )
    )


def _set_options(document: Document, options: Options) -> None:
    """Apply parameters to a document; messages then name the parameter."""
    for name, value in options.items():
        if value is not None:
            field = _FIELDS[name]
            # A number of NumPy is one like any other.
            value = value.item() if hasattr(value, "item") else value  # noqa: PLW2901
            if not isinstance(value, str | float | int):
                expected = "text" if name == "name" else "a number"
                raise InputError(Parameter(name), got=Text(show(value)), expected=expected)
            # As JSON: a name such as 2024 stays text.
            document.set(f"{field}={json.dumps(value)}")
            document.assigned[tuple(field.split("."))] = Message(Parameter(name), f" {value}")
