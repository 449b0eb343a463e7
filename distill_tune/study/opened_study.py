"""A study that a command goes on with: opened whole, or refused before anything is created."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.errors import InputError, Message, Parameter, StudyError
from distill_tune.interfaces import ImageData
from distill_tune.records.directory import StudyDirectory
from distill_tune.records.files.storage import joined
from distill_tune.study.opening import (
    Options,
    check_same,
    load_images,
    read_study,
    require_utf8,
    resume_command,
    stored_study,
    with_absolute_root,
)
from distill_tune.study.study import Study
from distill_tune.study.validation import Document
from distill_tune.study.warm_start import WARM_START_TRIALS, warm_start


class Opened(NamedTuple):
    """A study that is known to be good, with all that goes with it.

    Attributes:
        study: As checked.
        directory: Where it lies, or will.
        images: Its data.
        document: Where it was read: knows the places of fields.
        remark: What is to be said of it before anything else; may be empty.
    """

    study: Study
    directory: StudyDirectory
    images: ImageData
    document: Document
    remark: str = ""


class WarmStartRequest(NamedTuple):
    """What is to be tried first.

    Attributes:
        source: The study whose best configurations; None: no other's.
        num_trials: How many of them for each backbone; None: as many as usual.
    """

    source: str | None = None
    num_trials: int | None = None


class StudyRequest(NamedTuple):
    """What a user says of a study that may be new.

    Attributes:
        space: A YAML file, or what would stand in one.
        storage: Folder or URI of studies.
        assignments: ``path=value`` changes of the space.
        options: Further changes.
        warm_start: Whose configurations are tried first.
    """

    space: Path | Mapping[str, Any]
    storage: str
    assignments: list[str]
    options: Options
    warm_start: WarmStartRequest = WarmStartRequest()


def open_new(wish: StudyRequest, *, resume: bool, allow_changed: bool) -> Opened:
    """Return a study that may be there already, if it may be gone on with.

    Raises:
        InputError, InputErrors: With the place of everything that is wrong.
        StudyError: It is there and not to be resumed, or was begun otherwise.
    """
    typed, document = read_study(wish.space, wish.assignments, wish.options)
    study, remark = warm_started(with_absolute_root(typed), wish.warm_start)
    directory = _new_place(wish.storage, study.study)
    if directory.exists():
        if not resume:
            raise StudyError(
                Message(
                    f"{directory.root}: got a study that is there already, expected another ",
                    Parameter("name"),
                    ", or ",
                    Parameter("resume=True"),
                    f" (the same as: {resume_command(directory)})",
                )
            )
        check_same(directory, study, allow_changed=allow_changed)
    require_utf8(directory)
    return Opened(study, directory, load_images(typed, document), document, remark)


def open_stored(
    root: str, options: Options | None = None, assignments: Sequence[str] = ()
) -> Opened:
    """Return a study that is there, with changes applied; raises as :func:`stored_study`."""
    directory = StudyDirectory(root)
    require_utf8(directory)
    stored, document = stored_study(directory, options, assignments)
    study = with_absolute_root(stored)
    images = load_images(study, document, resume_command(directory), directory)
    return Opened(study, directory, images, document)


def warm_started(study: Study, wish: WarmStartRequest) -> tuple[Study, str]:
    """Return the study with its first points, and what to say of them."""
    if wish.source is None:
        if wish.num_trials is not None:
            expected = Message(Parameter("warm_start"), " beside it")
            raise InputError(Parameter("warm_start_trials"), got=wish.num_trials, expected=expected)
        return study, ""
    names = [backbone.name for backbone in study.backbones]
    number = WARM_START_TRIALS if wish.num_trials is None else wish.num_trials
    found = warm_start(StudyDirectory(wish.source), names, study.space.dimensions, number)
    search = study.search.model_copy(update={"first_points": found.points})
    return study.model_copy(update={"search": search}), found.words


def _new_place(storage: str, name: str) -> StudyDirectory:
    """Return the directory of a study that may be new."""
    if not storage:
        raise InputError(Parameter("storage"), got=storage, expected="a folder or a URI")
    directory = StudyDirectory(joined(storage, name))
    directory.refuse_unusable()
    return directory
